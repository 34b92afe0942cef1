/// A GPU or a MIG instance: what does not change while it exists. Its identity is the UUID.
public struct GPUDevice: Sendable, Codable, Equatable {
    /// `GPU-…` or `MIG-…`, stable across reboots and containers.
    public let uuid: String
    /// The place in NVML's order: a label that may differ between container and host, never an identity.
    public let index: Int
    /// The product's name.
    public let name: String
    /// `domain:bus:device.function` in hexadecimal.
    public let pciBusID: String?
    /// For a MIG instance, the UUID of the GPU it is a part of.
    public let parentUUID: String?
    /// For a MIG instance, its profile, such as `1g.10gb`.
    public let migProfile: String?
    /// For a MIG instance, the GPU instance id.
    public let migGPUInstanceID: Int?
    /// For a MIG instance, the compute instance id.
    public let migComputeInstanceID: Int?
    /// True for a whole GPU that is split into MIG instances: those are used, not it.
    public let isPartitioned: Bool
    /// Memory size in bytes.
    public let memoryTotalBytes: UInt64?
    /// The firmware of the board, such as `96.00.89.00.01`.
    public let vbiosVersion: String?
    /// The N of `/dev/nvidiaN`, which is the host's and not the container's count.
    public let minorNumber: Int?

    /// Describes a device.
    public init(
        uuid: String, index: Int, name: String, pciBusID: String? = nil, parentUUID: String? = nil,
        migProfile: String? = nil, migGPUInstanceID: Int? = nil, migComputeInstanceID: Int? = nil,
        isPartitioned: Bool = false, memoryTotalBytes: UInt64? = nil, vbiosVersion: String? = nil,
        minorNumber: Int? = nil
    ) {
        self.uuid = uuid
        self.index = index
        self.name = name
        self.pciBusID = pciBusID
        self.parentUUID = parentUUID
        self.migProfile = migProfile
        self.migGPUInstanceID = migGPUInstanceID
        self.migComputeInstanceID = migComputeInstanceID
        self.isPartitioned = isPartitioned
        self.memoryTotalBytes = memoryTotalBytes
        self.vbiosVersion = vbiosVersion
        self.minorNumber = minorNumber
    }

    enum CodingKeys: String, CodingKey {
        case uuid, index, name
        case pciBusID = "pci_bus_id"
        case parentUUID = "parent_uuid"
        case migProfile = "mig_profile"
        case migGPUInstanceID = "mig_gpu_instance_id"
        case migComputeInstanceID = "mig_compute_instance_id"
        case isPartitioned = "partitioned"
        case memoryTotalBytes = "memory_total_bytes"
        case vbiosVersion = "vbios_version"
        case minorNumber = "minor_number"
    }
}
