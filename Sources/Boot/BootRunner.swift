public import Effects
public import LinuxKit

/// Performs the actions of a ``BootSequence`` and writes `boot.json` after every event.
///
/// Blocks its caller until the boot is over, setup.sh included: run it on a thread of its own.
public struct BootRunner: Sendable {
    /// What the runner does to the world.
    public struct Effects: Sendable {
        /// What a step did: a sentence, and what went wrong.
        public typealias Outcome = (detail: String?, problems: [String])

        /// Waits a moment for the control plane's answer; the options that it leaves, nil when there is no answer.
        public var askControlPlane: @Sendable () -> BootSequence.Options? = { nil }
        /// Looks at the volumes without touching them from this thread.
        public var inspectMounts: @Sendable () throws(LinuxError) -> MountFacts
        /// Waits for a change of the mounts, at most so many milliseconds.
        public var waitForMounts: @Sendable (Int) -> Void
        /// Sees which volume it is and who else uses it.
        public var examine: @Sendable (BootVolume) -> Outcome = { _ in (nil, []) }
        /// Puts back what was captured. Asked only with ``BootSequence/Options/restores``.
        public var restore: @Sendable (BootVolume) -> Outcome = { _ in (nil, []) }
        /// Writes flag and environment for a volume or none (with the reason); returns a summary and what went wrong.
        public var applyEnvironment: @Sendable (BootVolume?, String) -> Outcome
        /// Runs the scripts, reporting each state.
        public var runSetup: @Sendable (BootVolume?, (SetupRecord) -> Void) -> SetupRecord
        /// Writes the report.
        public var record: @Sendable (BootReport) -> Void

        /// Gathers effects.
        public init(
            inspectMounts: @escaping @Sendable () throws(LinuxError) -> MountFacts,
            waitForMounts: @escaping @Sendable (Int) -> Void,
            applyEnvironment: @escaping @Sendable (BootVolume?, String) -> Outcome,
            runSetup: @escaping @Sendable (BootVolume?, (SetupRecord) -> Void) -> SetupRecord,
            record: @escaping @Sendable (BootReport) -> Void
        ) {
            self.inspectMounts = inspectMounts
            self.waitForMounts = waitForMounts
            self.applyEnvironment = applyEnvironment
            self.runSetup = runSetup
            self.record = record
        }
    }

    private let effects: Effects
    private let clock: any Clock
    private let options: BootSequence.Options

    /// Prepares a boot.
    public init(effects: Effects, options: BootSequence.Options, clock: any Clock = SystemClock()) {
        self.effects = effects
        self.clock = clock
        self.options = options
    }

    /// Boots.
    @discardableResult
    public func run() -> BootReport {
        var sequence = BootSequence(options)
        var actions = sequence.handle(.start, at: now())
        while let action = actions.first {
            effects.record(sequence.report)
            actions = Array(actions.dropFirst()) + sequence.handle(perform(action, &sequence), at: now())
        }
        effects.record(sequence.report)
        return sequence.report
    }

    private func now() -> BootSequence.Moment { .init(boottime: clock.boottime(), wall: clock.realtimeMilliseconds()) }

    private func perform(_ action: BootSequence.Action, _ sequence: inout BootSequence) -> BootSequence.Event {
        switch action {
        case .askControlPlane: return .controlPlane(effects.askControlPlane())
        case .inspectMounts:
            do throws(LinuxError) {
                return .mounts(try effects.inspectMounts())
            } catch {
                return .mountsFailed(error.description)
            }
        case .waitForMounts(let milliseconds):
            effects.waitForMounts(milliseconds)
            return .mountsMayHaveChanged
        case .examine(let volume):
            let result = effects.examine(volume)
            return .examined(detail: result.detail, problems: result.problems)
        case .restore(let volume):
            let result = effects.restore(volume)
            return .restored(detail: result.detail, problems: result.problems)
        case .applyEnvironment(let volume, let why):
            let result = effects.applyEnvironment(volume, why)
            return .environmentApplied(detail: result.detail, problems: result.problems)
        case .runSetup(let volume):
            var current = sequence
            let record = effects.runSetup(volume) { state in
                guard state.state.isRunning || state.state == .timeout else { return }
                var running = state
                if state.state == .timeout { running.state = .running }
                _ = current.handle(.setup(running), at: now())
                effects.record(current.report)
            }
            // A script that an earlier agent started and that still runs ends without anybody seeing how.
            var last = record
            if last.state.isRunning { last.state = .failed }
            return .setup(last)
        }
    }
}
