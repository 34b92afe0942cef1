/// Texts and truth values from the TOML file of another program.
public struct TOMLValues: Sendable {
    private var texts: [[String]: String] = [:]
    private var truths: [[String]: Bool] = [:]
    private var tables: Set<[String]> = []

    /// nil when the text is not TOML.
    public init?(_ text: String) {
        guard let document = try? TOMLDocument(text, allowsTableArrays: true) else { return nil }
        for entry in document.entries {
            switch entry.value {
            case .string(let value): texts[entry.path] = value
            case .boolean(let value): truths[entry.path] = value
            default: break
            }
            for length in 1..<entry.path.count + (entry.value == .table ? 1 : 0) {
                tables.insert(Array(entry.path[..<length]))
            }
        }
    }

    /// The text at a path of keys; nil when there is none or it is no text.
    public func string(_ path: [String]) -> String? { texts[path] }

    /// The truth value at a path of keys; nil when there is none or it is no truth value.
    public func boolean(_ path: [String]) -> Bool? { truths[path] }

    /// Whether there is a table with this path, empty or not.
    public func contains(_ table: [String]) -> Bool { tables.contains(table) }
}
