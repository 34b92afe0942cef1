/// How long data written at a path lives.
public enum Lifetime: String, Sendable, Codable, CaseIterable {
    /// Lost when the container ends: the writable layer and the container's own memory.
    case container
    /// Lost when the pod ends: emptyDir and shared memory.
    case pod
    /// Kept on this node only: a directory of the node's disk.
    case node
    /// Survives the pod.
    case volume
    /// Read-only: nothing can be written.
    case image
    /// The kernel's own: proc, sys, devices. Not storage.
    case kernel
    /// Cannot be told from inside the container.
    case unknown

    /// True when data ends with the container or the pod.
    public var isLostWithPod: Bool { self == .container || self == .pod }
}

/// How sure a statement is.
public enum Confidence: String, Sendable, Codable {
    /// The kernel or the runtime leaves no other reading.
    case certain
    /// Another set-up could look the same; the reason says which.
    case probable
}

/// The lifetime of a mount, and why.
public struct Classification: Sendable, Equatable {
    /// How long data lives.
    public let lifetime: Lifetime
    /// How sure that is.
    public let confidence: Confidence
    /// One clause for a person: why.
    public let reason: String
    /// True when the mount stands where a volume should be mounted and is not: data lands on the node's disk.
    public let isVolumeTrap: Bool

    /// Makes a classification.
    public init(_ lifetime: Lifetime, _ confidence: Confidence, _ reason: String, isVolumeTrap: Bool = false) {
        self.lifetime = lifetime
        self.confidence = confidence
        self.reason = reason
        self.isVolumeTrap = isVolumeTrap
    }
}

/// A mount with its lifetime.
public struct ClassifiedMount: Sendable, Equatable {
    /// The mount.
    public let mount: Mount
    /// How long data there lives.
    public let classification: Classification
}
