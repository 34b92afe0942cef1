/// Whether NVML answers at all, and if not, why.
public enum GPUState: String, Sendable, Codable, CaseIterable {
    /// The sampler has not finished its first look.
    case starting
    /// NVML answers and at least one GPU is readable.
    case ok
    /// `libnvidia-ml.so.1` cannot be loaded: no driver is mounted into the container. A pod without GPUs is legal.
    case noLibrary = "no_library"
    /// The library loads, but the kernel driver is not there.
    case noDriver = "no_driver"
    /// The driver works and shows no GPU.
    case noGPU = "no_gpu"
    /// The library and the kernel driver are of different versions. Only a new container helps.
    case driverMismatch = "driver_mismatch"
    /// The device cgroup or permissions no longer let this container open the GPU's device files.
    case accessRevoked = "access_revoked"
    /// A call into the driver has not returned for a long time. Everything else goes on.
    case hung
    /// NVML was let go on request, so that a GPU can be reset or repartitioned.
    case released
    /// Anything else; the snapshot's reason says what.
    case error
}

/// How one GPU or MIG instance is doing.
public enum GPUDeviceState: String, Sendable, Codable, CaseIterable {
    /// It answers.
    case ok
    /// It fell off the bus. It is not asked again but for a rare look whether it came back.
    case lost
    /// It needs a reset before new work can run on it.
    case resetRequired = "reset_required"
    /// The driver refuses to answer this user.
    case noPermission = "no_permission"
    /// It answers with errors.
    case error
}

extension GPUState {
    /// What a person can do about it, in one sentence; nil where there is nothing to do.
    public var advice: String? {
        switch self {
        case .starting, .ok, .noGPU: nil
        case .noLibrary:
            "Start the container with the NVIDIA runtime and the driver capability 'utility'; a pod without GPUs is fine as it is."
        case .noDriver: "Ask the platform to load the NVIDIA kernel driver on the node, or move to another node."
        case .driverMismatch: "Terminate this pod and start a new one: the node's driver was changed under it."
        case .accessRevoked:
            "Save work and start a new pod: this one may no longer open the GPUs (the node reloaded systemd or the runtime)."
        case .hung: "Save work; the driver does not answer. If it stays so, ask the platform for another node."
        case .released: "The GPUs can be reset or repartitioned now; sampling goes on when it is resumed."
        case .error: "Look at the reason; if it stays so, ask the platform for another node."
        }
    }
}

extension GPUDeviceState {
    /// What a person can do about it, in one sentence; nil where there is nothing to do.
    public var advice: String? {
        switch self {
        case .ok: nil
        case .lost: "Save work and move to another node: a GPU off the bus comes back only with a reset or reboot."
        case .resetRequired: "End the programs on this GPU and ask the platform to reset it."
        case .noPermission: "Nothing to do inside the pod: the driver shows this GPU and lets nobody here read it."
        case .error: "If it stays so, run 'packet-agent doctor' and ask the platform for another node."
        }
    }
}
