public import ControlPlaneAPI
public import Effects

/// One thing the doctor looks at. A check is pure: it judges facts that were gathered with deadlines of their own.
public struct Check: Sendable {
    /// What a check says.
    public struct Finding: Sendable {
        /// The result.
        public var status: DoctorReport.Status
        /// What was seen, in one line.
        public var evidence: String
        /// How to mend it.
        public var fix: DoctorReport.Fix?
        /// Numbers and names behind the evidence.
        public var data: [String: JSONValue]

        /// Makes a finding.
        public init(
            _ status: DoctorReport.Status, _ evidence: String, fix: DoctorReport.Fix? = nil,
            data: [String: JSONValue] = [:]
        ) {
            self.status = status
            self.evidence = evidence
            self.fix = fix
            self.data = data
        }
    }

    /// Stable name, `group.subject`.
    public let id: String
    /// What is checked, in a few words.
    public let title: String
    /// Why it matters, in one sentence.
    public let why: String
    /// How to mend it, in a sentence or two; a finding may carry the exact command.
    public let mend: String
    /// Checks that must not have failed for this one to make sense.
    public let requires: [String]
    /// True when the check walks files; such checks are left out of a quick look.
    public let measuresSizes: Bool
    let run: @Sendable (Facts) -> Finding

    init(
        _ id: String, _ title: String, why: String, mend: String, requires: [String] = [], measuresSizes: Bool = false,
        run: @escaping @Sendable (Facts) -> Finding
    ) {
        self.id = id
        self.title = title
        self.why = why
        self.mend = mend
        self.requires = requires
        self.measuresSizes = measuresSizes
        self.run = run
    }

    /// `storage`, `limits`, `caches`, `environment`, `setup`, `gpu`, `control-plane` or `agent`.
    public var group: String { String(id.prefix { $0 != "." }) }

    /// Every check, in the order in which they run and are documented.
    public static let all: [Check] =
        storageChecks + volumeChecks + limitChecks + cacheChecks + environmentChecks + setupChecks + gpuChecks
        + controlPlaneChecks + agentChecks
}

/// Runs checks in order and puts their findings together.
public enum Doctor {
    /// What to run and how to count.
    public struct Options: Sendable {
        /// Ids or groups to run; empty for all.
        public var only: [String] = []
        /// Leave out checks that walk files.
        public var quick = false
        /// Warnings make the exit status 1.
        public var strict = false
        /// Checks that must not be skipped.
        public var required: Set<String> = []

        /// All checks, warnings allowed.
        public init() {}
    }

    /// The names in `options.only` or `required` that are neither a check nor a group.
    public static func unknownNames(in options: Options) -> [String] {
        let names = Set(Check.all.map(\.id) + Check.all.map(\.group))
        return (options.only + options.required.sorted()).filter { !names.contains($0) }
    }

    /// Runs the checks.
    public static func run(_ options: Options, facts: Facts, clock: any Clock = SystemClock()) -> DoctorReport {
        var results: [DoctorReport.Result] = []
        var status: [String: DoctorReport.Status] = [:]
        for check in Check.all {
            guard options.only.isEmpty || options.only.contains(check.id) || options.only.contains(check.group) else {
                continue
            }
            guard !(options.quick && check.measuresSizes) else { continue }
            let start = clock.boottime()
            let blocking = check.requires.first { id in
                status[id].map { $0 == .fail || $0 == .unknown || $0 == .skip } ?? false
            }
            let finding =
                blocking.map { Check.Finding(.skip, "not looked at, because \($0) did not pass") } ?? check.run(facts)
            status[check.id] = finding.status
            let microseconds = (clock.boottime() - start) / 1000
            results.append(
                .init(
                    id: check.id, title: check.title, status: finding.status, evidence: finding.evidence,
                    why: check.why,
                    fix: finding.fix, durationMilliseconds: Double(microseconds) / 1000, data: finding.data))
        }
        return DoctorReport(checks: results, strict: options.strict, required: options.required)
    }
}
