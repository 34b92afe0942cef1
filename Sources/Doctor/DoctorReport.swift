public import ControlPlaneAPI
public import LinuxKit

/// What the doctor found: the one value from which JSON, the screen and the report to the control plane are made.
public struct DoctorReport: Codable, Sendable, Equatable {
    /// The result of one check.
    public enum Status: String, Codable, Sendable, CaseIterable {
        /// As it should be.
        case pass
        /// Works, but the user should know.
        case warn
        /// Broken, or data will be lost.
        case fail
        /// Does not apply here, or a check it depends on did not pass. Not a pass.
        case skip
        /// Could not be found out. Not a pass.
        case unknown
    }

    /// How to mend something.
    public struct Fix: Codable, Sendable, Equatable {
        /// A command for sh.
        public var command: String
        /// True when `doctor --fix` may run it: it loses nothing and can be undone.
        public var safe: Bool

        /// Makes a fix.
        public init(command: String, safe: Bool) {
            self.command = command
            self.safe = safe
        }
    }

    /// One check with its result.
    public struct Result: Codable, Sendable, Equatable {
        /// Stable name, `group.subject`.
        public var id: String
        /// What is checked, in a few words.
        public var title: String
        /// The result.
        public var status: Status
        /// What was seen, in one line.
        public var evidence: String
        /// Why it matters, in one sentence.
        public var why: String
        /// How to mend it.
        @Nullable public var fix: Fix?
        /// Milliseconds that it took.
        public var durationMilliseconds: Double
        /// Numbers and names behind the evidence.
        public var data: [String: JSONValue]

        enum CodingKeys: String, CodingKey {
            case id, title, status, evidence, why, fix, data
            case durationMilliseconds = "duration_ms"
        }
    }

    /// How many checks had each result.
    public struct Summary: Codable, Sendable, Equatable {
        /// Checks that passed.
        public var pass = 0
        /// Checks that warn.
        public var warn = 0
        /// Checks that failed.
        public var fail = 0
        /// Checks that were skipped.
        public var skip = 0
        /// Checks without an answer.
        public var unknown = 0
    }

    /// `packet-agent/doctor/1`.
    public var schema = "packet-agent/doctor/1"
    /// The exit status: 1 when a check failed or is unknown, with `strict` also when one warns, or when a required check
    /// was skipped; else 0.
    public var exit: Int
    /// How many checks had each result.
    public var summary: Summary
    /// The checks in the order of the documentation.
    public var checks: [Result]

    /// Makes a report.
    public init(checks: [Result], strict: Bool = false, required: Set<String> = []) {
        var summary = Summary()
        for check in checks {
            switch check.status {
            case .pass: summary.pass += 1
            case .warn: summary.warn += 1
            case .fail: summary.fail += 1
            case .skip: summary.skip += 1
            case .unknown: summary.unknown += 1
            }
        }
        let missing = checks.contains { $0.status == .skip && required.contains($0.id) }
        self.checks = checks
        self.summary = summary
        exit = summary.fail + summary.unknown > 0 || strict && summary.warn > 0 || missing ? 1 : 0
    }
}
