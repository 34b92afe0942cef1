import CNVML
import Glibc

extension NVMLSession {
    /// What a failed nvmlInit means, and what helps.
    static func explain(
        _ failure: NVMLFailure, _ library: NVMLLibrary, _ options: GPUSampler.Options
    ) -> Problem {
        let version = (try? library.nvmlVersion().get()).map { " (library \($0))" } ?? ""
        let control = options.deviceDirectory + "/nvidiactl"
        switch failure.sessionState {
        case .noDriver:
            return Problem(state: .noDriver, reason: "the NVIDIA kernel driver is not loaded\(version)")
        case .driverMismatch:
            return Problem(
                state: .driverMismatch,
                reason:
                    "the NVIDIA library\(version) and the kernel driver differ: this container must be created again")
        case .accessRevoked:
            return Problem(state: .accessRevoked, reason: revoked(control))
        case .noLibrary:
            return Problem(state: .noLibrary, reason: "NVML found no driver library of its own: \(failure)")
        default: break
        }
        // After a daemon-reload on the host, systemd puts its own device rules back and NVML says only "unknown error".
        // The device file tells.
        if failure.code == NVML_ERROR_UNKNOWN || failure == .noPermission, isForbidden(options.probeDevice(control)) {
            return Problem(state: .accessRevoked, reason: revoked(control))
        }
        return Problem(state: .error, reason: "NVML does not work: \(failure)\(version)")
    }

    private static func revoked(_ control: String) -> String {
        "this container may no longer open \(control) (device cgroup): it must be created again"
    }

    private static func isForbidden(_ code: Int32) -> Bool { code == EPERM || code == EACCES }
}
