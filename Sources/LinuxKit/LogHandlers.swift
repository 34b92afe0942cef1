import Glibc
public import Logging

/// Where log lines go: to the journal with structured fields when journald listens, else to standard error.
public enum AgentLog {
    /// Sets up swift-log for the process; called once, before the first logger is made.
    ///
    /// - Parameter level: `trace` to `critical`; anything else means `info`.
    public static func bootstrap(identifier: String, level: String) {
        let level = Logger.Level(rawValue: level) ?? .info
        let toJournal = Systemd.hasJournal
        LoggingSystem.bootstrap { label in
            if toJournal { return JournalLogHandler(identifier: identifier, label: label, logLevel: level) }
            return StandardErrorLogHandler(label: label, logLevel: level)
        }
    }
}

/// Sends records to the journal: metadata become fields of their own, so that `journalctl FIELD=value` finds them.
public struct JournalLogHandler: LogHandler {
    private let identifier: String
    private let label: String
    /// Metadata of every record.
    public var metadata: Logger.Metadata = [:]
    /// Least severity that is sent.
    public var logLevel: Logger.Level

    /// Makes a handler; `identifier` becomes SYSLOG_IDENTIFIER.
    public init(identifier: String, label: String, logLevel: Logger.Level) {
        self.identifier = identifier
        self.label = label
        self.logLevel = logLevel
    }

    /// One metadata value of every record.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Sends one record; standard error takes it when the journal refuses.
    public func log(event: LogEvent) {
        var fields = [
            (name: "MESSAGE", value: TerminalText.escape(event.message.description)),
            (name: "PRIORITY", value: String(Self.priority(event.level))),
            (name: "SYSLOG_IDENTIFIER", value: identifier),
            (name: "LOGGER", value: label),
        ]
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) {
            fields.append((Self.field(key), TerminalText.escape(value.description)))
        }
        guard !Systemd.journal(fields) else { return }
        var fallback = StandardErrorLogHandler(label: label, logLevel: logLevel)
        fallback.metadata = metadata
        fallback.log(event: event)
    }

    /// A name journald accepts: `[A-Z0-9_]`, not beginning with a digit or underscore, at most 64 bytes; other names
    /// would be dropped silently (systemd.journal-fields(7)).
    static func field(_ key: String) -> String {
        let name = key.utf8.map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - 32
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): byte
            default: UInt8(ascii: "_")
            }
        }
        return String(decoding: (Array("PACKET_".utf8) + name).prefix(64), as: UTF8.self)
    }

    /// syslog(3) priorities.
    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}

/// Writes one line per record to standard error: `LEVEL message key=value`.
public struct StandardErrorLogHandler: LogHandler {
    private let label: String
    /// Metadata of every record.
    public var metadata: Logger.Metadata = [:]
    /// Least severity that is written.
    public var logLevel: Logger.Level

    /// Makes a handler.
    public init(label: String, logLevel: Logger.Level) {
        self.label = label
        self.logLevel = logLevel
    }

    /// One metadata value of every record.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes one record in one write(2), so that lines of several threads do not mix.
    public func log(event: LogEvent) {
        let line = Array(Self.line(event, metadata: metadata).utf8)
        _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    static func line(_ event: LogEvent, metadata: Logger.Metadata) -> String {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        let pairs = all.map { " \($0.key)=\(quoted($0.value.description))" }.joined()
        return "\(event.level.rawValue.uppercased()) \(TerminalText.escape(event.message.description))\(pairs)\n"
    }

    private static func quoted(_ value: String) -> String {
        let escaped = TerminalText.escape(value)
        return escaped.contains { $0 == " " || $0 == "\"" || $0 == "=" }
            ? "\"\(escaped.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\""))\""
            : escaped
    }
}
