/// Warnings that are told once per cause, not once per look.
///
/// A cause is raised when its value reaches a limit, told again when the value has doubled since, and cleared only when
/// the value has fallen below half of the limit, so that one that swings around the limit is told once.
public struct WarningBoard: Sendable, Equatable {
    /// Something that a person should know.
    public struct Warning: Sendable, Equatable {
        /// What it is about; stays the same between looks: `at-risk:hf-hub:/root/.cache/huggingface/hub`.
        public let cause: String
        /// One sentence.
        public var text: String
        /// When it was raised, milliseconds since 1970.
        public let since: Int64
        fileprivate var toldAt: UInt64
    }

    /// What a look found of one cause.
    public struct Observation: Sendable, Equatable {
        /// What it is about.
        public let cause: String
        /// How bad it is, in the unit of the limit.
        public let value: UInt64
        /// From where on it is told.
        public let limit: UInt64
        /// One sentence.
        public let text: String

        /// Describes a cause.
        public init(cause: String, value: UInt64, limit: UInt64, text: String) {
            self.cause = cause
            self.value = value
            self.limit = limit
            self.text = text
        }
    }

    /// What changed with a look.
    public struct Change: Sendable, Equatable {
        /// Warnings to tell now.
        public var raised: [Warning] = []
        /// Warnings that no longer hold.
        public var cleared: [Warning] = []
        /// Nothing changed.
        public var isEmpty: Bool { raised.isEmpty && cleared.isEmpty }
    }

    /// The warnings that hold, the oldest first.
    public private(set) var warnings: [Warning] = []

    /// No warnings.
    public init() {}

    /// Takes over what a look found. Causes of the same kind that it did not find are cleared.
    ///
    /// - Parameters:
    ///   - kind: the beginning of the causes that this look is about: `at-risk:`.
    ///   - now: milliseconds since 1970.
    public mutating func update(_ observations: [Observation], kind: String, now: Int64) -> Change {
        var change = Change()
        var found: [String: Observation] = [:]
        for observation in observations where observation.cause.hasPrefix(kind) {
            found[observation.cause] = observation
        }
        for warning in warnings where warning.cause.hasPrefix(kind) {
            if let value = found[warning.cause], value.value > value.limit / 2 { continue }
            change.cleared.append(warning)
        }
        warnings.removeAll { warning in change.cleared.contains { $0.cause == warning.cause } }
        for observation in observations where observation.cause.hasPrefix(kind) {
            if let index = warnings.firstIndex(where: { $0.cause == observation.cause }) {
                warnings[index].text = observation.text
                guard observation.value / 2 >= warnings[index].toldAt else { continue }
                warnings[index].toldAt = max(observation.value, 1)
                change.raised.append(warnings[index])
            } else if observation.value >= observation.limit {
                let warning = Warning(
                    cause: observation.cause, text: observation.text, since: now, toldAt: max(observation.value, 1))
                warnings.append(warning)
                change.raised.append(warning)
            }
        }
        return change
    }
}
