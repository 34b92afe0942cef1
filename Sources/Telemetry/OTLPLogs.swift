/// Turns lines of text into the bytes of OTLP logs (`ExportLogsServiceRequest`, opentelemetry-proto 1.x, logs.proto): what
/// the volume's set-up scripts wrote.
public struct OTLPLogs: Sendable {
    /// One record.
    public struct Record: Sendable, Equatable {
        /// How serious it is (logs data model, SeverityNumber).
        public enum Severity: UInt64, Sendable {
            /// A line of output.
            case info = 9
            /// Something that a person should look at.
            case warning = 13
            /// What failed.
            case error = 17

            var text: String {
                switch self {
                case .info: "INFO"
                case .warning: "WARN"
                case .error: "ERROR"
                }
            }
        }

        /// When it was seen, nanoseconds since 1970; lines of a script carry no time of their own.
        public var observedUnixNanoseconds: UInt64
        /// How serious it is.
        public var severity: Severity
        /// The line, safe for a terminal.
        public var body: String
        /// Attributes such as `log.file.name`.
        public var attributes: [(String, String)]

        /// Makes a record.
        public init(
            observedUnixNanoseconds: UInt64, severity: Severity = .info, body: String,
            attributes: [(String, String)] = []
        ) {
            self.observedUnixNanoseconds = observedUnixNanoseconds
            self.severity = severity
            self.body = body
            self.attributes = attributes
        }

        /// Equal in every field.
        public static func == (a: Record, b: Record) -> Bool {
            a.observedUnixNanoseconds == b.observedUnixNanoseconds && a.severity == b.severity && a.body == b.body
                && a.attributes.elementsEqual(b.attributes) { $0 == $1 }
        }
    }

    /// The path of the standard (OTLP/HTTP).
    public static let path = "/v1/logs"
    /// The body's type.
    public static let contentType = "application/x-protobuf"
    /// Receivers take 4 MiB at least; a batch stays far below.
    public static let largestBatch = 512 << 10
    /// A longer line is cut, so that one line always fits.
    public static let longestBody = 64 << 10

    /// What the resource is: `service.name`, `host.name`, `k8s.pod.uid`, ...
    public var resource: [(String, String)]
    /// The agent's version, as that of the instrumentation scope.
    public var version: String

    /// Names the sender.
    public init(resource: [(String, String)], version: String) {
        self.resource = resource
        self.version = version
    }

    /// The bodies of as many requests as the records need, in order.
    public func encode(_ records: [Record]) -> [[UInt8]] {
        var requests: [[UInt8]] = []
        var batch: [Record] = []
        var size = 0
        for record in records {
            // Beside the line itself some tens of bytes and the attributes.
            let more = min(record.body.utf8.count, Self.longestBody) + 512
            if size + more > Self.largestBatch && !batch.isEmpty {
                requests.append(request(batch))
                (batch, size) = ([], 0)
            }
            batch.append(record)
            size += more
        }
        if !batch.isEmpty { requests.append(request(batch)) }
        return requests
    }

    private func request(_ records: [Record]) -> [UInt8] {
        var request = ProtobufWriter()
        request.message(1) { logs in
            logs.message(1) { resource in
                for (key, value) in self.resource { resource.message(1) { Self.attribute(key, value, &$0) } }
            }
            logs.message(2) { scope in
                scope.message(1) {
                    $0.string(1, "packet-agent")
                    $0.string(2, version)
                }
                for record in records { scope.message(2) { encode(record, &$0) } }
            }
        }
        return request.bytes
    }

    private func encode(_ record: Record, _ writer: inout ProtobufWriter) {
        writer.uint(2, record.severity.rawValue)
        writer.string(3, record.severity.text)
        let body =
            record.body.utf8.count <= Self.longestBody
            ? record.body : String(decoding: record.body.utf8.prefix(Self.longestBody), as: UTF8.self)
        writer.message(5) { $0.string(1, body) }
        for (key, value) in record.attributes { writer.message(6) { Self.attribute(key, value, &$0) } }
        writer.fixed64(11, record.observedUnixNanoseconds)
    }

    private static func attribute(_ key: String, _ value: String, _ writer: inout ProtobufWriter) {
        writer.string(1, key)
        writer.message(2) { $0.string(1, value) }
    }
}
