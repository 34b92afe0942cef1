import CLinux
import Delivery
public import Effects
import FoundationEssentials
import GPU
import Glibc
import LinuxKit
import LocalAPI
import Logging
import NIOPosix
import ServiceLifecycle
public import Settings
import Synchronization
import Telemetry
import UnixSignals

/// Why the daemon could not start.
public struct DaemonError: Error, Sendable, CustomStringConvertible {
    /// What happened and what to do.
    public let description: String
}

/// `packet-agent run`: samples GPUs, makes and delivers usage records, answers on the local socket, and starts the boot pass.
///
/// Every part has its own thread, task or process, so that one that fails or hangs takes no other down. This process never
/// opens a path on a volume.
public final class Daemon: Sendable {
    private let configuration: AgentConfiguration
    private let version: String
    private let clock: any Clock
    private let identity: PodIdentity
    private let paths: AgentPaths
    private let logger: Logger
    private let meter: UsageMeter
    private let volumes: VolumeWatch
    private let atRisk: AtRiskWatch
    private let startedAt: UInt64
    private let sampler = Mutex<GPUSampler?>(nil)
    private let delivery = Mutex<UsageDelivery?>(nil)
    private let exporter = Mutex<OTLPExporter?>(nil)

    private init(_ configuration: AgentConfiguration, version: String, clock: any Clock, logger: Logger)
        throws(LinuxError)
    {
        self.configuration = configuration
        self.version = version
        self.clock = clock
        self.logger = logger
        identity = PodIdentity(configuration)
        paths = AgentPaths(configuration)
        meter = try UsageMeter(clock: clock)
        let atRisk = AtRiskWatch(configuration, logger: logger)
        self.atRisk = atRisk
        volumes = VolumeWatch { atRisk.ephemeralBytes }
        startedAt = clock.boottime()
    }

    /// Runs until SIGTERM or SIGINT, then closes intervals, makes them durable, and tries to deliver them.
    ///
    /// - Parameter bootPass: start `packet-agent boot` as a child.
    /// - Throws: ``DaemonError`` when another agent runs or the directories cannot be made.
    public static func run(
        _ configuration: AgentConfiguration, version: String, bootPass: Bool, clock: any Clock = SystemClock()
    ) async throws(DaemonError) {
        let logger = Logger(label: "packet-agent")
        do {
            let paths = AgentPaths(configuration)
            try AtomicFile.createDirectory(paths.runtimeDirectory, mode: 0o755)
            try AtomicFile.createDirectory(paths.stateDirectory, mode: 0o755)
            let lock = try Descriptor(opening: paths.lock, O_RDWR | O_CREAT, mode: 0o600)
            // A child that a killed agent was just starting holds its lock until the child runs its own program.
            let giveUp = ContinuousClock.now + .seconds(2)
            while flock(lock.number, LOCK_EX | LOCK_NB) != 0 {
                let code = errno
                guard code == EWOULDBLOCK, ContinuousClock.now < giveUp else {
                    throw LinuxError("lock (is another agent running?)", paths.lock, code: code)
                }
                try await Task.sleep(for: .milliseconds(50))
            }
            let daemon = try Daemon(configuration, version: version, clock: clock, logger: logger)
            try await daemon.serve(bootPass: bootPass)
            // Held until here, so that there is one agent.
            _ = lock.number
        } catch {
            throw DaemonError(description: TerminalText.escape(String(describing: error)))
        }
    }

    private func serve(bootPass: Bool) async throws {
        // One event loop for the socket and the control plane; the number of CPUs of the node does not matter here.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        try startThreads()
        let server = try await LocalServer.start(path: paths.socket, group: group, changes: changes()) { [self] in
            answer($0)
        }
        let metrics = await MetricsServer.start(
            configuration.metrics, version: version, group: group, clock: clock, logger: logger,
            health: { [self] in health() }
        ) { [self] in sampler.withLock { $0 }?.snapshot }
        var client: ControlPlaneClient?
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = []
        if configuration.controlPlane.url.isEmpty || configuration.controlPlane.podUID.isEmpty {
            logger.notice("usage stays in the spool: control_plane.url or control_plane.pod_uid is not set")
        } else {
            do {
                client = try ControlPlaneClient(
                    url: configuration.controlPlane.url, tokenFile: configuration.controlPlane.tokenFile,
                    caFile: configuration.controlPlane.caFile, group: group)
            } catch {
                logger.error("usage stays in the spool", metadata: ["reason": "\(error)"])
            }
        }
        services.append(.init(service: Notifier(daemon: self)))
        let exporter = OTLPExporter.make(
            configuration, identity: identity, version: version, group: group, clock: clock, logger: logger
        ) { [self] in sampler.withLock { $0 }?.snapshot }
        if let exporter {
            self.exporter.withLock { $0 = exporter }
            services.append(.init(service: exporter))
        }
        if let client {
            services.append(
                .init(
                    service: Reporter(
                        client: client, identity: identity, configuration: configuration, version: version,
                        meter: meter,
                        volumes: volumes, atRisk: atRisk, snapshot: { [self] in sampler.withLock { $0 }?.snapshot },
                        startedAt: clock.realtimeMilliseconds(), logger: logger)))
            let usage = UsageDelivery(
                meter: meter, client: client, podUID: identity.podUID, clock: clock, logger: logger)
            delivery.withLock { $0 = usage }
            services.append(.init(service: usage))
        }
        // Services stop in reverse order: first the meter closes its intervals, then the delivery sends them.
        services.append(.init(service: MeterStop(daemon: self)))
        if bootPass { BootChild.start(logger) }
        var configuration = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(12)
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch {
            logger.error("a service ended unexpectedly", metadata: ["reason": "\(error)"])
        }
        Systemd.notify("STOPPING=1")
        volumes.stop(self.configuration)
        await client?.shutdown()
        await metrics?.stop()
        await server.stop()
        // Threads that wait for a driver or a disk that does not answer would hold exit(3) up; nothing is left to do.
        logger.info("stopped")
        _exit(0)
    }

    private func startThreads() throws {
        if configuration.metering.enabled {
            try meter.start(
                directory: paths.spool, podUID: identity.podUID, bootID: identity.bootID,
                metering: configuration.metering,
                sampleInterval: configuration.gpu.sampleIntervalMilliseconds)
        }
        try atRisk.start()
        let environment = EnvironmentWatch(configuration, logger: logger)
        try volumes.start(configuration, logger: logger) { [atRisk] in
            atRisk.observe($0)
            environment.observe($0)
        }
        guard configuration.gpu.enabled else { return }
        var options = GPUSampler.Options()
        options.libraryPath = configuration.gpu.library
        options.intervalMilliseconds = UInt64(configuration.gpu.sampleIntervalMilliseconds)
        let meter = configuration.metering.enabled ? meter : nil
        let sampler = try GPUSampler(options, clock: clock) { meter?.tick($0) }
        try sampler.start()
        self.sampler.withLock { $0 = sampler }
    }

    // MARK: Answers from memory

    /// What the daemon knows of itself.
    func status() -> StatusDocument {
        var document = StatusDocument.fromFiles(paths, volumes: volumes.volumes)
        let now = clock.boottime()
        document.agent = version
        document.pid = getpid()
        document.uptimeSeconds = Self.seconds(now - startedAt)
        if let snapshot = sampler.withLock({ $0 })?.snapshot {
            document.gpu = .init(state: snapshot.state.rawValue, devices: snapshot.allocatableDevices.count)
        }
        let metering = meter.state
        let delivery = delivery.withLock { $0 }?.state
        document.delivery = .init(
            spooled: metering.waiting,
            oldestUnackedSeconds: metering.waitingSince.map { Self.seconds(now - min(now, $0)) },
            lastAckSeconds: delivery?.lastAcknowledgement.map { Self.seconds(now - min(now, $0 * 1_000_000)) },
            failure: metering.failure ?? delivery?.lastFailure)
        return document
    }

    /// What the agent knows of itself, for its metrics.
    private func health() -> AgentHealth {
        var health = AgentHealth()
        health.startedAt = startedAt
        health.telemetry = exporter.withLock { $0 }?.state
        guard configuration.metering.enabled else { return health }
        health.usage = meter.state.usage(
            lastAcknowledgement: delivery.withLock { $0 }?.state.lastAcknowledgement, now: clock.boottime())
        return health
    }

    private static func seconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds / 1_000_000) / 1000 }

    /// Root, the daemon's own user and those of the configuration may change something.
    private func changes() -> LocalServer.Changes {
        let allowed = Set([0, geteuid()] + configuration.agent.allowedUsers.compactMap { UInt32(exactly: $0) })
        let release = GPURelease(logger: logger)
        return .init(isAllowed: { allowed.contains($0) }) { [self] path, body in
            release.perform(path, body, sampler.withLock { $0 })
        }
    }

    private func answer(_ path: String) -> LocalServer.Answer {
        do {
            switch path {
            case "/v1/status": return .init(body: Array(try JSONEncoder().encode(status())))
            case "/v1/gpu":
                let snapshot = sampler.withLock { $0 }?.snapshot
                let off = GPUSnapshot(state: .released, reason: "GPU sampling is switched off (gpu.enabled)")
                return .init(body: Array(try JSONEncoder().encode(snapshot ?? off)))
            case "/v1/usage":
                let state = meter.state
                let document = UsageDocument(
                    podUID: identity.podUID, epoch: state.epoch ?? "", gpus: state.totals, spooled: state.waiting,
                    rejected: state.rejected, asOf: clock.realtimeMilliseconds())
                return .init(body: Array(try JSONEncoder().encode(document)))
            default: return .init(status: 404, body: Self.notFound)
            }
        } catch {
            return .init(status: 500, body: Self.notEncodable)
        }
    }

    private static let notFound = Array(#"{"error":{"code":"not_found","message":"no such path"}}"#.utf8)
    private static let notEncodable = Array(#"{"error":{"code":"internal","message":"not encodable"}}"#.utf8)

    /// Tells the service manager that the agent is ready, how it is, and that it is alive.
    private struct Notifier: Service {
        let daemon: Daemon
        /// The meter's thread comes round every second; after so long it hangs.
        private static let longestSilence: UInt64 = 60_000_000_000

        func run() async throws {
            let watchdog = Systemd.watchdogInterval
            Systemd.notify("READY=1")
            daemon.logger.info("ready", metadata: ["version": "\(daemon.version)", "pod": "\(daemon.identity.podUID)"])
            let pause = Duration.microseconds(watchdog.map { min($0 / 2, 10_000_000) } ?? 10_000_000)
            await cancelWhenGracefulShutdown { [daemon] in
                var isSettled = false
                while !Task.isCancelled {
                    let status = daemon.status()
                    let line =
                        "\(status.gpu.devices) GPU(s), \(status.gpu.state); boot \(status.bootSummary); "
                        + "\(status.delivery.spooled) record(s) waiting"
                    Systemd.notify("STATUS=\(TerminalText.escape(line))")
                    let heartbeat = daemon.meter.state.heartbeat
                    let isAlive =
                        !daemon.configuration.metering.enabled
                        || daemon.clock.boottime() < max(heartbeat, daemon.startedAt) + Self.longestSilence
                    if watchdog != nil && isAlive { Systemd.notify("WATCHDOG=1") }
                    try? await Task.sleep(for: pause)
                    // What only the start needed is given back; pages of the program come back from its file when used.
                    if !isSettled { clinux_drop_clean_pages() }
                    isSettled = true
                }
            }
        }
    }

    /// Ends sampling and makes the open intervals durable as soon as a stop is asked for.
    private struct MeterStop: Service {
        let daemon: Daemon

        func run() async throws {
            try? await gracefulShutdown()
            let sampler = daemon.sampler.withLock { $0 }
            // No further look begins. What was seen is durable before anybody waits for a driver that may hang.
            _ = sampler?.stop(milliseconds: 0)
            let isMetering = daemon.configuration.metering.enabled
            if isMetering { await daemon.meter.close() }
            let isStopped = await Blocking.run(name: "gpu-stop") { sampler?.stop(milliseconds: 2000) }
            if isStopped == false {
                daemon.logger.warning("NVML does not let go; its thread is left behind")
            } else if isMetering {
                // The look that was under way.
                await daemon.meter.close()
            }
        }
    }
}
