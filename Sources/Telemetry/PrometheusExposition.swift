public import GPU

/// How dcgm-exporter's labels are spelled: it renamed some, and dashboards depend on them.
public struct LabelSpelling: Sendable, Equatable {
    /// The label of the GPU's UUID: `UUID`, or `uuid` with dcgm-exporter's `--use-old-namespace`.
    public var uuid = "UUID"
    /// The label of the host's name: `Hostname` in every release up to 4.6.0-4.8.3, `hostname` later. Empty leaves it out.
    public var hostname = "Hostname"
    /// The label of the driver's version. Empty leaves it out.
    public var driverVersion = "DCGM_FI_DRIVER_VERSION"

    /// dcgm-exporter's spelling in its releases.
    public init() {}
}

/// `/metrics`: what the last look saw, as text. Pure: a scrape asks nobody, also while NVML hangs.
public struct PrometheusExposition: Sendable {
    /// dcgm-exporter's labels.
    public var spelling: LabelSpelling
    /// The host's name as a label, such as the node's or the pod's.
    public var hostname: String
    /// The agent's version.
    public var version: String

    /// `Content-Type` of the answer.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Describes the exporter.
    public init(spelling: LabelSpelling = .init(), hostname: String, version: String) {
        self.spelling = spelling
        self.hostname = hostname
        self.version = version
    }

    struct Device {
        let device: GPUDevice
        let sample: GPUSample
        /// dcgm-exporter's labels, and ours.
        let labels: [UInt8]
        let own: [(String, String)]
        let ownLabels: [UInt8]
    }

    /// Renders a snapshot, and what the agent knows of itself. `now` is CLOCK_BOOTTIME in nanoseconds.
    public func render(_ snapshot: GPUSnapshot, health: AgentHealth = .init(), now: UInt64) -> [UInt8] {
        let snapshot = snapshot.withoutStaleReadings
        var writer = PrometheusWriter(capacity: 4096 + snapshot.devices.count * 12_000)
        let devices = pair(snapshot)
        for family in DCGMFamily.all {
            write(family.name, family.type, family.help, &writer, devices) { family.value($0.device, $0.sample) }
        }
        writeXIDs(snapshot, devices, &writer)
        AgentFamilies.write(self, snapshot, devices, now: now, &writer)
        HealthFamilies.write(health, now: now, &writer)
        return writer.bytes
    }

    private func write(
        _ name: StaticString, _ type: MetricType, _ help: StaticString, _ writer: inout PrometheusWriter,
        _ devices: [Device], _ value: (Device) -> PrometheusWriter.Value?
    ) {
        var isFirst = true
        for device in devices {
            guard let value = value(device) else { continue }
            if isFirst { writer.family(name, type, help) }
            isFirst = false
            writer.sample(name, device.labels, value)
        }
    }

    /// dcgm-exporter's own XID metrics: the last one, which never goes away, and, since 3.3, a count by code.
    private func writeXIDs(_ snapshot: GPUSnapshot, _ devices: [Device], _ writer: inout PrometheusWriter) {
        let whole = devices.filter { $0.device.parentUUID == nil }
        guard !whole.isEmpty else { return }
        writer.family("DCGM_FI_DEV_XID_ERRORS", .gauge, "Value of the last XID error encountered.")
        for device in whole {
            let last = snapshot.xidCounts.filter { $0.uuid == device.device.uuid }
                .max { $0.lastBoottime < $1.lastBoottime }
            var labels = device.labels
            if let last {
                labels.append(UInt8(ascii: ","))
                labels += PrometheusWriter.labels([
                    ("err_code", String(last.xid)), ("err_msg", XIDMeaning.of(last.xid).meaning),
                ])
            }
            writer.sample("DCGM_FI_DEV_XID_ERRORS", labels, .integer(last?.xid ?? 0))
        }
    }

    private func pair(_ snapshot: GPUSnapshot) -> [Device] {
        let whole = Dictionary(snapshot.devices.filter { $0.parentUUID == nil }.map { ($0.uuid, $0) }) { first, _ in
            first
        }
        return zip(snapshot.devices, snapshot.samples).map { device, sample in
            let parent = device.parentUUID.flatMap { whole[$0] } ?? device
            var pairs = [
                ("gpu", String(parent.index)), (spelling.uuid, parent.uuid), ("pci_bus_id", parent.pciBusID ?? ""),
                ("device", "nvidia" + String(parent.index)), ("modelName", parent.name),
            ]
            var own = [("gpu", String(parent.index)), ("uuid", device.uuid)]
            if device.parentUUID != nil {
                pairs.append(("GPU_I_PROFILE", device.migProfile ?? ""))
                pairs.append(("GPU_I_ID", device.migGPUInstanceID.map { String($0) } ?? ""))
                own.append(("parent_uuid", parent.uuid))
                own.append(("mig_profile", device.migProfile ?? ""))
                // Two compute instances of one GPU instance would otherwise be one series.
                let isShared = snapshot.devices.contains {
                    $0.uuid != device.uuid && $0.parentUUID == device.parentUUID
                        && $0.migGPUInstanceID == device.migGPUInstanceID
                }
                if isShared {
                    pairs.append(("GPU_CI_ID", device.migComputeInstanceID.map { String($0) } ?? device.uuid))
                }
            }
            if !spelling.hostname.isEmpty { pairs.append((spelling.hostname, hostname)) }
            if !spelling.driverVersion.isEmpty, let version = snapshot.driverVersion {
                pairs.append((spelling.driverVersion, version))
            }
            return Device(
                device: device, sample: sample, labels: PrometheusWriter.labels(pairs), own: own,
                ownLabels: PrometheusWriter.labels(own))
        }
    }
}

extension GPUSnapshot {
    /// While the driver hangs the last readings are of the past: nobody may take them for now.
    var withoutStaleReadings: GPUSnapshot {
        guard state == .hung else { return self }
        var snapshot = self
        snapshot.samples = samples.map { GPUSample(uuid: $0.uuid, boottime: $0.boottime, state: .error) }
        return snapshot
    }
}
