/// How a layer stands in this pod.
public struct LayerState: Codable, Sendable, Equatable {
    /// The states.
    public enum State: String, Codable, Sendable {
        /// Its files are up to date.
        case `in`
        /// Its files would change.
        case pending
        /// Its files are taken out, or there is nothing to put in.
        case out
        /// It was left alone, because something is wrong.
        case left
        /// Its program is not installed.
        case absent
        /// The configuration switches it off.
        case off
    }

    /// The layer's name.
    public var id: String
    /// The kinds of session that it reaches.
    public var reaches: [SessionKind]
    /// How it stands.
    public var state: State
    /// Why, or what it leaves out.
    public var reason: String?

    init(_ layer: EnvironmentLayer, _ state: State, _ reason: String?) {
        id = layer.id
        reaches = layer.reaches
        self.state = state
        self.reason = reason
    }
}
