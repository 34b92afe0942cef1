/// A process that uses a GPU, as the driver says.
///
/// Older drivers name processes by the host's pid, which means somebody else inside a container. A process counts as
/// one of this container only when `/proc` shows it with an NVIDIA device file open; others keep the driver's number.
public struct GPUProcess: Sendable, Codable, Equatable {
    /// What it uses the GPU for.
    public enum Kind: String, Sendable, Codable { case compute, graphics, mps }

    /// The number the driver gave.
    public let pid: UInt32
    /// What for.
    public let kind: Kind
    /// Bytes of GPU memory; nil where the driver does not say.
    public let memoryBytes: UInt64?
    /// The process's name (comm) when it is one of this container; nil when that cannot be told.
    public let name: String?

    /// Describes a process.
    public init(pid: UInt32, kind: Kind, memoryBytes: UInt64?, name: String? = nil) {
        self.pid = pid
        self.kind = kind
        self.memoryBytes = memoryBytes
        self.name = name
    }

    enum CodingKeys: String, CodingKey {
        case pid, kind, name
        case memoryBytes = "memory_bytes"
    }
}
