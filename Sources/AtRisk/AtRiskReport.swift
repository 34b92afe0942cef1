import FoundationEssentials
public import LinuxKit
public import Storage

/// What `packet-agent at-risk --json` prints, and what its text is rendered from.
public struct AtRiskReport: Codable, Sendable, Equatable {
    /// The name and version of this document.
    public static let schema = "packet-agent/at-risk/1"

    /// One group of files.
    public struct GroupEntry: Codable, Sendable, Equatable {
        /// Stays the same between scans.
        public var id: String
        /// What it is.
        public var kind: AtRiskKind
        /// What to call it.
        public var title: String
        /// The directory or file that holds it.
        public var path: String
        /// The exact bytes in base64, only when they are not UTF-8.
        public var pathBase64: String?
        /// How long it lives as it is.
        public var lifetime: Lifetime
        /// Bytes allocated on the disk.
        public var bytes: UInt64
        /// Files and links.
        public var files: Int
        /// True when a capture on the volume holds it.
        public var captured: Bool
        /// A command that saves it; null when there is none.
        @Nullable public var fix: AtRiskFix?

        enum CodingKeys: String, CodingKey {
            case id, kind, title, path
            case pathBase64 = "path_b64"
            case lifetime, bytes, files, captured, fix
        }

        init(_ group: AtRiskScan.Group) {
            id = group.id
            kind = group.kind
            title = group.title
            path = group.path.jsonText
            pathBase64 = group.path.jsonBase64
            lifetime = group.lifetime
            bytes = group.bytes
            files = group.files
            captured = false
            _fix = Nullable(wrappedValue: group.fix)
        }
    }

    /// A process that writes a large file where it does not survive the pod.
    public struct WriterEntry: Codable, Sendable, Equatable {
        /// The process.
        public var pid: Int32
        /// What a person calls it; arguments, which may hold tokens, are not shown.
        public var command: String
        /// The file.
        public var path: String
        /// The exact bytes in base64, only when they are not UTF-8.
        public var pathBase64: String?
        /// Bytes allocated.
        public var bytes: UInt64
        /// How long the file lives.
        public var lifetime: Lifetime
        /// One sentence.
        public var text: String

        enum CodingKeys: String, CodingKey {
            case pid, command, path
            case pathBase64 = "path_b64"
            case bytes, lifetime, text
        }

        init(_ writer: LiveWriter) {
            pid = writer.pid
            command = writer.command
            path = writer.path.jsonText
            pathBase64 = writer.path.jsonBase64
            bytes = writer.bytes
            lifetime = writer.lifetime
            text = writer.text
        }
    }

    /// A process that started before the environment was set.
    public struct StaleEntry: Codable, Sendable, Equatable {
        /// The process.
        public var pid: Int32
        /// What a person calls it.
        public var command: String
        /// Variables that it does not have.
        public var missing: [String]
        /// What to do.
        public var advice: String

        init(_ process: StaleProcess) {
            (pid, command, missing, advice) = (process.pid, process.command, process.missing, process.advice)
        }
    }

    /// ``AtRiskReport/schema``.
    public var schema: String
    /// Bytes of all groups.
    public var totalBytes: UInt64
    /// Files of all groups.
    public var totalFiles: Int
    /// False when something could not be looked at: the totals are "at least".
    public var complete: Bool
    /// True when the user stopped the scan: what was found until then. Left out otherwise.
    public var partial: Bool?
    /// Bytes that count against the pod's limit of ephemeral storage, whoever wrote them; left out when not known.
    public var ephemeralBytes: UInt64?
    /// When the scan ended, RFC 3339 in UTC.
    public var asOf: String
    /// The groups, the largest first.
    public var groups: [GroupEntry]
    /// Who is writing large files now, the largest first; left out when nobody is.
    public var writers: [WriterEntry]?
    /// Processes that do not have the environment yet; left out when there are none.
    public var staleProcesses: [StaleEntry]?
    /// What could not be looked at, one sentence each; left out when there is nothing to say.
    public var problems: [String]?

    enum CodingKeys: String, CodingKey {
        case schema
        case totalBytes = "total_bytes"
        case totalFiles = "total_files"
        case complete, partial
        case ephemeralBytes = "ephemeral_bytes"
        case asOf = "as_of"
        case groups, writers
        case staleProcesses = "stale_processes"
        case problems
    }

    /// Makes the document.
    ///
    /// - Parameters:
    ///   - stale: processes that started before the environment was set.
    ///   - time: when the scan ended.
    public init(
        _ findings: AtRiskScan.Findings, stale: [StaleProcess] = [], at time: FileStatus.Time = FirstStart.now()
    ) {
        schema = Self.schema
        totalBytes = findings.groups.reduce(0) { $0 + $1.bytes }
        totalFiles = findings.groups.reduce(0) { $0 + $1.files }
        complete = findings.isComplete
        partial = findings.isPartial ? true : nil
        ephemeralBytes = findings.ephemeralBytes
        asOf = Date(timeIntervalSince1970: Double(time.seconds)).formatted(.iso8601)
        groups = findings.groups.map(GroupEntry.init)
        writers = findings.writers.isEmpty ? nil : findings.writers.map(WriterEntry.init)
        staleProcesses = stale.isEmpty ? nil : stale.map(StaleEntry.init)
        problems = findings.problems.isEmpty ? nil : findings.problems
    }
}
