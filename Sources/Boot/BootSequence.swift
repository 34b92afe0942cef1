/// A volume as the boot sees it.
public struct BootVolume: Sendable, Equatable {
    /// Whether it can be used.
    public enum State: String, Sendable, Equatable {
        /// It is mounted and answers.
        case ready
        /// It is mounted and answers, but cannot be written.
        case readOnly = "read_only"
        /// It is mounted and does not answer.
        case stuck
        /// It is expected and not mounted.
        case missing
    }

    /// Its name.
    public var name: String
    /// Its absolute mount point.
    public var mountPoint: String
    /// The id of its mount; nil when it is missing or the kernel is older than 5.8.
    public var mountID: UInt64?
    /// Whether it can be used.
    public var state: State
    /// Whether configuration, snapshot or convention names it.
    public var isExpected: Bool

    /// Describes a volume.
    public init(name: String, mountPoint: String, mountID: UInt64? = nil, state: State, isExpected: Bool) {
        self.name = name
        self.mountPoint = mountPoint
        self.mountID = mountID
        self.state = state
        self.isExpected = isExpected
    }
}

/// The volumes at one moment.
public struct MountFacts: Sendable, Equatable {
    /// All volumes that are mounted or expected.
    public var volumes: [BootVolume]
    /// The index of the primary volume among them.
    public var primary: Int?
    /// Why that one, or why there is none.
    public var why: String

    /// Gathers facts.
    public init(volumes: [BootVolume], primary: Int?, why: String) {
        self.volumes = volumes
        self.primary = primary
        self.why = why
    }
}

/// The order of one boot: events in, actions out.
///
/// The control plane is listened to, mounts are inspected, an expected volume is waited for, its identity is looked at, what
/// was captured is restored, the ready flag and the environment are written, setup.sh runs. Whatever fails, the rest goes
/// on, and the report says what failed.
public struct BootSequence: Sendable {
    /// What is done and what is left out.
    public struct Options: Sendable, Equatable {
        /// `storage.volume_wait_s`: for an expected volume.
        public var waitSeconds: Int
        /// Steps that are switched off, by their names, and by what: `["setup": "setup.enabled"]`.
        public var off: [String: String]
        /// Whether the control plane is listened to first.
        public var asksControlPlane: Bool
        /// Whether there is something that can restore what was captured.
        public var restores: Bool

        /// Chooses.
        public init(
            waitSeconds: Int, off: [String: String] = [:], asksControlPlane: Bool = false, restores: Bool = false
        ) {
            self.waitSeconds = waitSeconds
            self.off = off
            self.asksControlPlane = asksControlPlane
            self.restores = restores
        }
    }

    /// What happened.
    public enum Event: Sendable, Equatable {
        /// The boot begins.
        case start
        /// The answer to ``Action/askControlPlane``: what is left of the options; nil when it said nothing in time.
        case controlPlane(Options?)
        /// The answer to ``Action/inspectMounts``.
        case mounts(MountFacts)
        /// The mounts cannot be read.
        case mountsFailed(String)
        /// The answer to ``Action/waitForMounts(milliseconds:)``: something changed or the time is over.
        case mountsMayHaveChanged
        /// The answer to ``Action/examine(_:)``, with what is wrong.
        case examined(detail: String?, problems: [String])
        /// The answer to ``Action/restore(_:)``, with what went wrong.
        case restored(detail: String?, problems: [String])
        /// The answer to ``Action/applyEnvironment(_:why:)``, with what went wrong.
        case environmentApplied(detail: String?, problems: [String])
        /// setup.sh is in a new state.
        case setup(SetupRecord)
    }

    /// What to do next; each is answered by one event.
    public enum Action: Sendable, Equatable {
        /// Wait a moment for the control plane's answer to this agent's hello.
        case askControlPlane
        /// Look at the volumes.
        case inspectMounts
        /// Wait for a change of the mounts, at most so long.
        case waitForMounts(milliseconds: Int)
        /// See which volume it is and whether another pod uses it.
        case examine(BootVolume)
        /// Put back what was captured on this volume.
        case restore(BootVolume)
        /// Write or remove the ready flag, then write the environment for the volume or for none.
        case applyEnvironment(BootVolume?, why: String)
        /// Run the script of this volume, or report that there is none.
        case runSetup(BootVolume?)
    }

    /// A moment on both clocks.
    public struct Moment: Sendable, Equatable {
        /// CLOCK_BOOTTIME in nanoseconds.
        public var boottime: UInt64
        /// Wall time in milliseconds since 1970.
        public var wall: Int64

        /// Makes a moment.
        public init(boottime: UInt64, wall: Int64) {
            self.boottime = boottime
            self.wall = wall
        }
    }

    /// What is known so far; worth writing after every event.
    public private(set) var report = BootReport(state: .waiting, steps: [])
    private var options: Options
    private var waitMilliseconds: UInt64 { UInt64(max(0, options.waitSeconds)) * 1000 }
    private var deadline: UInt64 = 0
    private var begins: [String: UInt64] = [:]
    private var facts = MountFacts(volumes: [], primary: nil, why: "")
    private var problems = 0
    private var target: BootVolume?
    private var why = ""

    /// A volume that is mounted but does not answer changes no mount: look again this often.
    static let stuckPollMilliseconds: UInt64 = 1000

    /// Prepares a boot.
    public init(_ options: Options) { self.options = options }

    /// Takes an event and says what to do.
    public mutating func handle(_ event: Event, at now: Moment) -> [Action] {
        switch event {
        case .start:
            if options.asksControlPlane {
                begin("control-plane", now)
                return [.askControlPlane]
            }
            return look(now)
        case .controlPlane(let answer):
            // One that is down must not degrade the boot: the configuration decides alone.
            end(
                "control-plane", answer == nil ? .skipped : .done,
                answer == nil ? "it has not answered yet; the configuration decides alone" : nil, now)
            options = answer ?? options
            return look(now)
        case .mountsFailed(let reason):
            end("mounts", .failed, reason, now)
            problems += 1
            return use(nil, why: "the mounts cannot be read: \(reason)", now)
        case .mounts(let facts):
            self.facts = facts
            return inspected(now)
        case .mountsMayHaveChanged: return [.inspectMounts]
        case .examined(let detail, let failures):
            conclude("identity", detail, failures, now)
            return restore(now)
        case .restored(let detail, let failures):
            conclude("restore", detail, failures, now)
            return environment(now)
        case .environmentApplied(let detail, let failures):
            conclude("environment", detail, failures, now)
            begin("setup", now)
            if let cause = options.off["setup"] {
                end("setup", .skipped, "switched off (\(cause))", now)
                return finish()
            }
            return [.runSetup(target)]
        case .setup(let record): return ran(record, now)
        }
    }

    private mutating func look(_ now: Moment) -> [Action] {
        deadline = now.boottime + waitMilliseconds * 1_000_000
        begin("mounts", now)
        return [.inspectMounts]
    }

    private mutating func inspected(_ now: Moment) -> [Action] {
        if step("mounts")?.state == .running {
            end("mounts", .done, Self.summary(facts.volumes), now)
            begin("volume", now)
        }
        let awaited = facts.volumes.filter { $0.isExpected && ($0.state == .missing || $0.state == .stuck) }
        if !awaited.isEmpty && now.boottime < deadline {
            set("volume", .running, "waiting for " + awaited.map(Self.describe).joined(separator: ", "))
            var left = (deadline - now.boottime + 999_999) / 1_000_000
            if awaited.contains(where: { $0.state == .stuck }) { left = min(left, Self.stuckPollMilliseconds) }
            return [.waitForMounts(milliseconds: Int(left))]
        }
        if !awaited.isEmpty { problems += 1 }
        let trouble = awaited.map { Self.describe($0) + " after \(waitMilliseconds / 1000) s" }
        guard let index = facts.primary, facts.volumes.indices.contains(index) else {
            if awaited.isEmpty { problems += 1 }
            let why = trouble.isEmpty ? facts.why : trouble.joined(separator: ", ")
            end("volume", .failed, why + "; what is written now is lost with the pod", now)
            return use(nil, why: why, now)
        }
        let volume = facts.volumes[index]
        switch volume.state {
        case .ready, .readOnly:
            end(
                "volume", trouble.isEmpty ? .done : .failed,
                (["\(volume.name) at \(volume.mountPoint): \(facts.why)"] + trouble).joined(separator: "; "), now)
            return use(volume, why: facts.why, now)
        case .stuck, .missing:
            if awaited.isEmpty { problems += 1 }
            let why = trouble.isEmpty ? Self.describe(volume) : trouble.joined(separator: ", ")
            end("volume", .failed, why, now)
            return use(nil, why: why, now)
        }
    }

    private mutating func use(_ volume: BootVolume?, why: String, _ now: Moment) -> [Action] {
        target = volume
        self.why = why
        guard let volume, volume.state == .ready else { return environment(now) }
        begin("identity", now)
        if let cause = options.off["identity"] {
            end("identity", .skipped, "switched off (\(cause))", now)
            return restore(now)
        }
        return [.examine(volume)]
    }

    private mutating func restore(_ now: Moment) -> [Action] {
        guard let target, options.restores else { return environment(now) }
        report.state = .restoring
        begin("restore", now)
        if let cause = options.off["restore"] {
            end("restore", .skipped, "switched off (\(cause))", now)
            return environment(now)
        }
        return [.restore(target)]
    }

    private mutating func environment(_ now: Moment) -> [Action] {
        report.state = .setup
        begin("environment", now)
        if let target, target.state == .readOnly {
            problems += 1
            return [.applyEnvironment(nil, why: "\(target.name) cannot be written")]
        }
        return [.applyEnvironment(target, why: why)]
    }

    private mutating func ran(_ record: SetupRecord, _ now: Moment) -> [Action] {
        let detail = record.reason.map { reason in record.log.map { "\(reason); log: \($0)" } ?? reason }
        switch record.state {
        case .running, .stalled:
            set("setup", .running, record.reason)
            return []
        case .absent: end("setup", .skipped, detail, now)
        case .succeeded:
            end("setup", .done, record.warnings.isEmpty ? nil : record.warnings.joined(separator: "; "), now)
        case .refused, .failed, .timeout:
            problems += 1
            end("setup", .failed, detail, now)
        }
        return finish()
    }

    /// Ends a step with what went wrong in it; one that is switched off had only to take back what was there.
    private mutating func conclude(_ name: String, _ detail: String?, _ failures: [String], _ now: Moment) {
        problems += failures.isEmpty ? 0 : 1
        if !failures.isEmpty {
            end(name, .failed, failures.joined(separator: "; "), now)
        } else if let cause = options.off[name] {
            end(name, .skipped, "switched off (\(cause))", now)
        } else {
            end(name, .done, detail, now)
        }
    }

    private mutating func finish() -> [Action] {
        report.state =
            problems == 0 ? .ready : report.steps.contains { $0.state == .done } ? .degraded : .failed
        return []
    }

    // MARK: Steps

    private func step(_ name: String) -> BootReport.Step? { report.steps.last { $0.name == name } }

    private mutating func begin(_ name: String, _ now: Moment) {
        begins[name] = now.boottime
        report.steps.append(
            BootReport.Step(name: name, state: .running, startedAt: Timestamp.text(milliseconds: now.wall)))
    }

    private mutating func set(_ name: String, _ state: BootReport.Step.State, _ detail: String?) {
        guard let index = report.steps.lastIndex(where: { $0.name == name }) else { return }
        report.steps[index].state = state
        report.steps[index].detail = detail
    }

    private mutating func end(_ name: String, _ state: BootReport.Step.State, _ detail: String?, _ now: Moment) {
        set(name, state, detail)
        guard let index = report.steps.lastIndex(where: { $0.name == name }) else { return }
        report.steps[index].durationMilliseconds = (now.boottime - (begins[name] ?? now.boottime)) / 1_000_000
    }

    private static func describe(_ volume: BootVolume) -> String {
        switch volume.state {
        case .missing: "\(volume.name) is not mounted at \(volume.mountPoint)"
        case .stuck: "\(volume.name) at \(volume.mountPoint) does not answer"
        case .readOnly: "\(volume.name) at \(volume.mountPoint) cannot be written"
        case .ready: "\(volume.name) at \(volume.mountPoint) is ready"
        }
    }

    private static func summary(_ volumes: [BootVolume]) -> String {
        volumes.isEmpty ? "no volume is mounted or expected" : volumes.map(describe).joined(separator: "; ")
    }
}
