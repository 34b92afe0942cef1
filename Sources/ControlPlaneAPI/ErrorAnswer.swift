/// The body of every answer that is not a success: `{"error":{"code","message"}}`.
public struct ErrorAnswer: Sendable, Equatable, Codable {
    /// What went wrong.
    public struct Problem: Sendable, Equatable, Codable {
        /// A stable word for programs, such as `not_found` or `data_at_risk`.
        public var code: String
        /// For people: what happened and what to do.
        public var message: String
        /// What the last report of a pod said would be lost, with `data_at_risk`.
        public var atRisk: AtRiskSummary?

        /// Makes a problem.
        public init(code: String, message: String, atRisk: AtRiskSummary? = nil) {
            self.code = code
            self.message = message
            self.atRisk = atRisk
        }

        enum CodingKeys: String, CodingKey {
            case code, message
            case atRisk = "at_risk"
        }

        /// Writes the problem; `at_risk` is there, perhaps as `null`, exactly when the code is `data_at_risk`.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(code, forKey: .code)
            try container.encode(message, forKey: .message)
            if code == Self.dataAtRisk { try container.encode(atRisk, forKey: .atRisk) }
        }

        /// The code of a termination that was refused because of what would be lost.
        public static let dataAtRisk = "data_at_risk"
    }

    /// What went wrong.
    public var error: Problem

    /// Makes an answer.
    public init(_ problem: Problem) { error = problem }
}
