/// NLTK (3.10 `data.py`, `downloader.py`, `internals.py`): the first path that exists and can be written, else ~/nltk_data.
enum Nltk {
    static let locations = [
        ToolLocation(
            id: "nltk", title: "NLTK data", kind: "dataset", placement: .direct, variables: ["NLTK_DATA"],
            volumeSubdirectory: "data/nltk", mustExist: true, note: "corpora are downloaded once",
            resolve: { context in
                let named = (context.value("NLTK_DATA") ?? "").split(separator: ":").map {
                    context.absolute(context.expandUser(String($0)))
                }
                let own = context.absolute(context.expandUser("~/nltk_data"))
                let shared = ["", "share", "lib"].map { join(context.pythonPrefix, $0, "nltk_data") }
                let system = ["/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib"].map {
                    join($0, "nltk_data")
                }
                // What is named and cannot be looked at lies on a volume, and was made there.
                if let first = named.first(where: { isWritable($0, context) ?? true }) { return first }
                let others = ([own] + shared + system).map(context.absolute)
                return others.first { isWritable($0, context) ?? false } ?? own
            })
    ]

    /// NLTK looks at the permission bits itself, without an exception for root; nil when they are unknown.
    private static func isWritable(_ path: String, _ context: ResolutionContext) -> Bool? {
        switch context.files.access(to: path) {
        case .unknown: return nil
        case .missing: return false
        case .writable, .notWritable: break
        }
        guard let entry = context.files.entry(at: path) else { return false }
        if entry.permissions & 0o002 != 0 { return true }
        if entry.uid == context.uid && entry.permissions & 0o200 != 0 { return true }
        return context.groups.contains(entry.gid) && entry.permissions & 0o020 != 0
    }
}
