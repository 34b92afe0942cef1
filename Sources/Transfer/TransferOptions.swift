public import AtRisk
public import Storage

/// What a copy depends on.
public struct TransferOptions: Sendable {
    /// A change that is about to be made. Tests stop or disturb a copy there; a real one only looks on.
    public enum Step: String, Sendable {
        case makeDirectory, writeFile, writeBlock, verifyFile, finishFile, makeLink, finishDirectory
        case land, removeStaging, writeJournal, prepareLink, exchange, remove
    }

    /// Threads that wait for the volume.
    public var threads: Int
    /// True where files must be written from start to end: object stores behind FUSE.
    public var isSequential: Bool
    /// Files of at least this size are copied by all threads together, past the page cache where the file system allows it.
    public var largeFile: UInt64
    /// Asked often: true stops the copy.
    public var isCancelled: @Sendable () -> Bool
    /// Told on the copy's threads: bytes and files that are on the volume and compared.
    public var progress: @Sendable (_ bytes: UInt64, _ files: Int) -> Void
    /// Called before each change, with its path.
    public var step: @Sendable (Step, BytePath) -> Void
    /// Who has the source open for writing.
    public var writers: @Sendable (BytePath) -> [TreeWriter]

    /// A volume across a network answers late but many at a time: more threads than processors.
    public static let remoteThreads = 64
    /// A disk of this machine has many requests under way at once too.
    public static let localThreads = 16

    /// Options for a volume on this mount; nil for a local disk.
    public init(
        volume: Mount? = nil, isCancelled: @escaping @Sendable () -> Bool = { false },
        progress: @escaping @Sendable (UInt64, Int) -> Void = { _, _ in },
        step: @escaping @Sendable (Step, BytePath) -> Void = { _, _ in },
        writers: @escaping @Sendable (BytePath) -> [TreeWriter] = { TreeWriters().find(below: $0) }
    ) {
        threads = volume.map(FilesystemKind.mayHang) == true ? Self.remoteThreads : Self.localThreads
        isSequential = volume.map(FilesystemKind.init) == .objectStore
        largeFile = 16 << 20
        self.isCancelled = isCancelled
        self.progress = progress
        self.step = step
        self.writers = writers
    }
}
