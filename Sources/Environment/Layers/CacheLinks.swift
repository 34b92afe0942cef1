extension EnvironmentLayer {
    /// Links at the places where tools put their data without any variable, where nothing is there yet: what neither a
    /// session nor Python reaches. Data that is there is `packet-agent move`'s business.
    static let cacheLinks = EnvironmentLayer(id: "links", reaches: [.directExec], nature: .whileReady) { context in
        var wish = LayerWish()
        for link in context.plan.links where context.exists(link.home) {
            wish.edits.append(
                FileEdit(
                    context.path(link.path), in: context.path(link.home), .link(link.target), owner: link.uid))
        }
        return wish
    }
}

/// A link from a tool's default place to the volume.
public struct CacheLink: Sendable, Equatable {
    /// The tool's default place, below the home directory.
    public let path: String
    /// The absolute path on the volume.
    public let target: String
    /// The home directory.
    public let home: String
    /// Whose home it is.
    public let uid: UInt32
}
