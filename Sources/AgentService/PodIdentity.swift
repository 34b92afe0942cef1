import FoundationEssentials
import Glibc
import LinuxKit
public import Settings
public import Storage
public import ControlPlaneAPI

/// Who this pod is and what it should find, as far as it is known on this machine.
public struct PodIdentity: Sendable {
    /// The pod's UID for records: configured, else `local`, so that usage is metered without a control plane too.
    public let podUID: String
    /// Whose CLOCK_BOOTTIME this is: `/proc/sys/kernel/random/boot_id`.
    public let bootID: String
    /// The control plane's last answer to a hello, if any.
    public let hello: HelloAnswer?
    /// What the control plane says that is mounted, and where; nil when it says nothing.
    let expectedVolume: (mountPoint: BytePath, attachment: VolumeAttachment)?

    /// Stands for a pod whose UID nobody told.
    static let local = "local"

    /// Reads what is known.
    public init(_ configuration: AgentConfiguration) {
        podUID = configuration.controlPlane.podUID.isEmpty ? Self.local : configuration.controlPlane.podUID
        let id = (try? LocalFile.readText("/proc/sys/kernel/random/boot_id", limit: 64)) ?? ""
        bootID = id.filter { !$0.isWhitespace }
        hello = (try? LocalFile.read(AgentPaths(configuration).hello, limit: 1 << 20)).flatMap {
            try? JSONDecoder().decode(HelloAnswer.self, from: Data($0))
        }
        expectedVolume = hello?.expectedVolume.map {
            (
                BytePath($0.mountPoint),
                VolumeAttachment(controlPlane: configuration.controlPlane.url, volumeID: $0.id)
            )
        }
    }

    /// This host's name (gethostname(2)); in a Kubernetes pod the pod's name.
    static let hostName: String = {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()

    /// The name under which this pod holds leases: its UID, else its host name.
    var leaseHolder: String { podUID == "local" ? Self.hostName : podUID }

    /// Volumes that configuration or control plane name.
    func expectedVolumes(_ configuration: AgentConfiguration) -> [ExpectedVolume] {
        var expected = configuration.storage.volumes.map {
            ExpectedVolume(mountPoint: BytePath($0), expectedBy: "storage.volumes")
        }
        if let volume = hello?.expectedVolume,
            !expected.contains(where: { $0.mountPoint == BytePath(volume.mountPoint) })
        {
            expected.append(ExpectedVolume(mountPoint: BytePath(volume.mountPoint), expectedBy: "the control plane"))
        }
        return expected
    }

    /// How storage is looked at with this configuration.
    public func storageOptions(_ configuration: AgentConfiguration) -> StorageFacts.Options {
        StorageFacts.Options(
            probe: StorageProbe(deadline: configuration.storage.probeTimeoutMilliseconds),
            expected: expectedVolumes(configuration), siteRules: configuration.storage.rules.compactMap(Self.siteRule))
    }

    /// A rule of the configuration; nil for a text that the configuration has already refused.
    private static func siteRule(_ text: String) -> SiteRule? {
        guard let rule = try? StorageRule(text), let lifetime = Lifetime(rawValue: rule.lifetime) else { return nil }
        return SiteRule(
            mountPoint: BytePath(bytes: rule.mountPoint), filesystems: Set(rule.filesystems), lifetime: lifetime,
            reason: rule.reason)
    }
}
