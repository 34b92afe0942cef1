public import LinuxKit
public import Storage

/// What `packet-agent move --json` prints, and what its text is rendered from.
public struct MoveReport: Codable, Sendable, Equatable {
    /// The name and version of this document.
    public static let schema = "packet-agent/move/1"

    /// What became of a file or directory.
    public enum State: String, Codable, Sendable {
        /// With `--dry-run`: what would be done.
        case planned
        /// It is on the volume, and a link stands in its place.
        case moved
        /// It is on the volume, and at its place as before.
        case copied
        /// A group of which nothing is at risk any more.
        case nothing
        /// It is where it was.
        case failed
        /// The user stopped before it was done; it is where it was.
        case unfinished
    }

    /// One file or directory.
    public struct Item: Codable, Sendable, Equatable {
        /// Where it was.
        public var source: String
        /// The exact bytes in base64, only when they are not UTF-8.
        public var sourceBase64: String?
        /// Its place on the volume; null when none was found for it.
        @Nullable public var destination: String?
        /// The exact bytes in base64, only when they are not UTF-8.
        public var destinationBase64: String?
        /// What became of it.
        public var state: State
        /// Bytes of its files, hard links counted once; null when it was not looked at.
        @Nullable public var bytes: UInt64?
        /// Its files; null when it was not looked at.
        @Nullable public var files: Int?
        /// Why it failed; left out otherwise.
        public var error: String?
        /// What a user should know; left out when there is nothing to say.
        public var notes: [String]?

        enum CodingKeys: String, CodingKey {
            case source
            case sourceBase64 = "source_b64"
            case destination
            case destinationBase64 = "destination_b64"
            case state, bytes, files, error, notes
        }

        /// Describes what became of a file or directory.
        public init(_ source: BytePath, _ destination: BytePath?, _ state: State) {
            self.source = source.jsonText
            sourceBase64 = source.jsonBase64
            _destination = Nullable(wrappedValue: destination?.jsonText)
            destinationBase64 = destination?.jsonBase64
            self.state = state
        }

        /// Takes over what was done.
        public mutating func finish(_ result: TreeMove.Result, _ state: State) {
            (bytes, files, self.state) = (result.bytes, result.files, state)
            notes = result.notes.isEmpty ? nil : result.notes
        }

        /// Takes over why nothing was done.
        public mutating func fail(_ error: TransferError) {
            state = error.code == .cancelled || error.code == .stuck ? .unfinished : .failed
            self.error = error.description
        }
    }

    /// ``MoveReport/schema``.
    public var schema = Self.schema
    /// True when no links are left.
    public var copy: Bool
    /// True when nothing was done.
    public var dryRun: Bool
    /// Bytes of all items that are on the volume.
    public var bytes: UInt64
    /// Their files.
    public var files: Int
    /// How long it took.
    public var seconds: Double
    /// In the order in which they were asked for.
    public var items: [Item]

    enum CodingKeys: String, CodingKey {
        case schema, copy
        case dryRun = "dry_run"
        case bytes, files, seconds, items
    }

    /// Sums up.
    public init(_ items: [Item], copy: Bool, dryRun: Bool, seconds: Double) {
        let done = items.filter { $0.state != .failed && $0.state != .unfinished }
        self.items = items
        self.copy = copy
        self.dryRun = dryRun
        self.seconds = (seconds * 1000).rounded() / 1000
        bytes = done.reduce(0) { $0 + ($1.bytes ?? 0) }
        files = done.reduce(0) { $0 + ($1.files ?? 0) }
    }
}
