import Boot
import ControlPlaneAPI
public import Settings

extension AgentConfiguration {
    /// What is left of the configuration after the control plane's answer to this pod's hello. It can only switch off.
    public func allowedByControlPlane() -> AgentConfiguration { allowed(PodIdentity(self).hello?.features) }

    func allowed(_ features: BootFeatures?) -> AgentConfiguration {
        guard let features else { return self }
        var result = self
        if !features.volumeWait { result.storage.volumeWaitSeconds = 0 }
        result.storage.lease = storage.lease && features.lease
        result.environment.enabled = environment.enabled && features.environment
        result.setup.enabled = setup.enabled && features.setup
        return result
    }
}

extension BootSequence.Options {
    /// What a boot does.
    ///
    /// - Parameters:
    ///   - own: the pod's configuration.
    ///   - allowed: what the control plane left of it.
    init(_ own: AgentConfiguration, allowed: AgentConfiguration) {
        var off: [String: String] = [:]
        func step(_ name: String, _ key: String, own: Bool, allowed: Bool) {
            if !allowed { off[name] = own ? "by the control plane" : key }
        }
        step("identity", "storage.lease", own: own.storage.lease, allowed: allowed.storage.lease)
        step("environment", "environment.enabled", own: own.environment.enabled, allowed: allowed.environment.enabled)
        step("setup", "setup.enabled", own: own.setup.enabled, allowed: allowed.setup.enabled)
        self.init(waitSeconds: allowed.storage.volumeWaitSeconds, off: off)
        // The daemon says hello with the epoch of its records.
        asksControlPlane =
            own.boot.controlPlaneWaitSeconds > 0 && own.metering.enabled && !own.controlPlane.url.isEmpty
            && !own.controlPlane.podUID.isEmpty
    }
}
