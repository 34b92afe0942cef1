import ControlPlaneAPI
import Delivery
import Effects
import FoundationEssentials
import GPU
import LinuxKit
import Logging
import ServiceLifecycle
import Settings
import Storage

/// Announces the agent to the control plane and tells it how the pod is, from time to time.
struct Reporter: Service {
    /// Seconds between two reports unless the control plane says otherwise.
    private static let defaultInterval: Double = 60
    /// Milliseconds that a doctor may take.
    private static let doctorDeadline = 60_000

    let client: ControlPlaneClient
    let identity: PodIdentity
    let configuration: AgentConfiguration
    let version: String
    let meter: UsageMeter
    let volumes: VolumeWatch
    let atRisk: AtRiskWatch
    let snapshot: @Sendable () -> GPUSnapshot?
    let startedAt: Int64
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            var interval = Self.defaultInterval
            var greeted: HelloRequest?
            var pause = 1.0
            while !Task.isCancelled {
                let greeting = hello()
                if let greeting, greeting != greeted {
                    if let answer = await greet(greeting) {
                        greeted = greeting
                        interval = Double(answer.reportIntervalMilliseconds).clamped(to: 1000...3_600_000) / 1000
                    }
                }
                let isReported = await report()
                // The first look is soon repeated: boot is still going on, and GPUs have just been found.
                pause = greeted != nil && isReported ? min(interval, pause * 2) : min(60, pause * 2)
                try? await Task.sleep(for: .seconds(pause * Double.random(in: 0.9...1.1)))
            }
        }
    }

    /// What the control plane should know of this start; nil until the epoch is durable.
    private func hello() -> HelloRequest? {
        let metering = meter.state
        guard let epoch = metering.epoch else { return nil }
        let gpus = (snapshot()?.allocatableDevices ?? []).map {
            HelloRequest.GPU(uuid: $0.uuid, name: $0.name, index: $0.index, parentUUID: $0.parentUUID)
        }
        return HelloRequest(
            epoch: epoch, prevEpoch: metering.previousEpoch, bootID: identity.bootID, agentVersion: version,
            image: configuration.agent.image.isEmpty ? nil : configuration.agent.image,
            startedAt: Timestamp(milliseconds: startedAt),
            volumes: volumes.volumes.map { .init(name: $0.name, mountPoint: $0.mountPoint, state: $0.state.rawValue) },
            gpus: gpus)
    }

    private func greet(_ greeting: HelloRequest) async -> HelloAnswer? {
        do {
            let answer = try await client.exchange(
                "POST", "/v1/pods/\(identity.podUID)/hello", greeting, as: HelloAnswer.self)
            if let bytes = try? JSONEncoder().encode(answer) {
                // Kept for the doctor and the next boot pass; the pod works without it.
                try? AtomicFile.write(Array(bytes), to: AgentPaths(configuration).hello)
            }
            logger.info("the control plane knows this agent", metadata: ["epoch": "\(greeting.epoch)"])
            return answer
        } catch {
            logger.warning("the control plane does not answer", metadata: ["reason": "\(error)"])
            return nil
        }
    }

    private func report() async -> Bool {
        guard let doctor = await runDoctor() else { return false }
        let boot = StatusDocument.fromFiles(AgentPaths(configuration), volumes: []).boot
        let report = PodReport(
            atRisk: Self.atRisk(doctor), doctor: doctor, boot: boot, warnings: atRisk.warnings)
        guard let body = try? JSONEncoder().encode(report) else { return false }
        do {
            let answer = try await client.request("PUT", "/v1/pods/\(identity.podUID)/report", body: Array(body))
            guard (200..<300).contains(answer.status) else {
                logger.debug("the report was refused", metadata: ["status": "\(answer.status)"])
                return false
            }
            return true
        } catch {
            logger.debug("the report was not delivered", metadata: ["reason": "\(error)"])
            return false
        }
    }

    /// The doctor looks at storage, so it is a process of its own; this one only reads what it prints.
    private func runDoctor() async -> JSONValue? {
        let captured = await Blocking.run(name: "doctor") {
            try? ChildProcess.capture(
                .init(
                    executable: "/proc/self/exe", arguments: ["doctor", "--json", "--background"],
                    environment: ProcessEnvironment.forChildren),
                limit: 4 << 20, milliseconds: Self.doctorDeadline)
        }
        guard let captured else { return nil }
        return try? JSONDecoder().decode(JSONValue.self, from: Data(captured.output))
    }

    private static func atRisk(_ doctor: JSONValue) -> AtRiskSummary? {
        guard case .object(let report) = doctor, case .array(let checks)? = report["checks"] else { return nil }
        for case .object(let check) in checks where check["id"] == .string("storage.at-risk") {
            guard case .object(let data)? = check["data"], case .integer(let bytes)? = data["total_bytes"],
                case .integer(let files)? = data["total_files"], case .bool(let isComplete)? = data["complete"],
                case .integer(let asOf)? = data["as_of"]
            else { return nil }
            return AtRiskSummary(
                totalBytes: UInt64(clamping: bytes), totalFiles: UInt64(clamping: files), complete: isComplete,
                asOf: Timestamp(milliseconds: asOf))
        }
        return nil
    }
}

extension Double {
    fileprivate func clamped(to range: ClosedRange<Double>) -> Double {
        min(max(self, range.lowerBound), range.upperBound)
    }
}
