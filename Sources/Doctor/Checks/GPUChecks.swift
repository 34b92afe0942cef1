import ControlPlaneAPI
import Settings
import GPU

extension Check {
    static let gpuChecks: [Check] = [
        Check(
            "gpu.nvml", "NVML answers",
            why: "Without NVML neither health nor usage of GPUs is known; CUDA programs usually fail too.",
            mend:
                "Without a driver the container was started without GPUs; a version mismatch needs the node's restart."
        ) { facts in
            guard facts.configuration.configuration.gpu.enabled else {
                return .init(.skip, "switched off (gpu.enabled)")
            }
            guard let gpu = facts.gpu else { return .init(.unknown, "NVML was not asked") }
            switch gpu.state {
            case .ok: return .init(.pass, "driver \(gpu.driverVersion ?? "?"), CUDA \(gpu.cudaDriverVersion ?? "?")")
            case .noLibrary, .noGPU, .released: return .init(.skip, gpu.reason)
            case .starting: return .init(.unknown, "NVML has not answered yet")
            case .noDriver, .driverMismatch, .accessRevoked, .hung, .error:
                return .init(.fail, [gpu.reason, gpu.state.advice].compactMap(\.self).joined(separator: ". "))
            }
        },
        Check(
            "gpu.devices", "Every GPU answers",
            why: "A lost GPU does no work and is still paid for.",
            mend: "Ask the platform for another node; a lost GPU comes back only with a reset.", requires: ["gpu.nvml"]
        ) { facts in
            guard let gpu = facts.gpu else { return .init(.skip, "NVML was not asked") }
            let devices = gpu.allocatableDevices
            let bad = gpu.samples.filter { $0.state != .ok }
            if let first = bad.first {
                return .init(
                    .fail, "\(bad.count) of \(gpu.devices.count): \(first.uuid) is \(first.state.rawValue)",
                    data: ["uuids": .array(bad.map { .string($0.uuid) })])
            }
            if gpu.failedDevices > 0 { return .init(.fail, "\(gpu.failedDevices) GPU(s) never answered") }
            return .init(
                .pass, "\(devices.count): \(Set(devices.map(\.name)).sorted().joined(separator: ", "))",
                data: ["devices": .integer(Int64(devices.count))])
        },
        Check(
            "gpu.health", "No GPU reports errors",
            why: "Uncorrected memory errors and pending resets end in wrong results or crashes.",
            mend: "Save work and ask the platform for another node; look up the XID in NVIDIA's list.",
            requires: ["gpu.devices"]
        ) { facts in
            guard let gpu = facts.gpu else { return .init(.skip, "NVML was not asked") }
            let faulty = gpu.samples.filter { ($0.eccUncorrected ?? 0) > 0 || ($0.recoveryAction ?? 0) > 0 }
            if let first = faulty.first {
                return .init(
                    .warn,
                    "\(first.uuid): \(first.eccUncorrected ?? 0) uncorrected memory error(s), recovery action \(first.recoveryAction ?? 0)"
                )
            }
            // What only accompanies something else, or was repaired, is no reason to warn.
            if let event = gpu.events.last(where: { XIDMeaning.of($0.xid).weight != .information }) {
                let meaning = XIDMeaning.of(event.xid)
                return .init(
                    .warn, "XID \(event.xid) on \(event.uuid ?? "a GPU"): \(meaning.meaning). \(meaning.advice)")
            }
            return .init(.pass, "no uncorrected errors, no XID events seen")
        },
    ]
}
