/// IPython (9.18 `paths.py`): where the directory cannot be written, a new temporary one at every start.
enum IPython {
    static let locations = [
        ToolLocation(
            id: "ipython", title: "IPython history and profiles", kind: "dotfile", placement: .synced,
            variables: ["IPYTHONDIR"], note: "the history is a SQLite database, which network file systems break",
            resolve: { context in
                let named = context.expandUser(context.value("IPYTHONDIR") ?? standard(context))
                let directory = context.absolute(named)
                let parent = context.absolute(directory + "/..")
                switch context.files.access(to: directory) {
                case .writable: return context.files.entry(at: directory)?.isDirectory == true ? directory : nil
                case .notWritable: return nil
                case .unknown: return directory
                case .missing:
                    // A name alone has no directory before it that could be written.
                    let isNameAlone = !named.hasPrefix("/") && parent == context.absolute(".")
                    return !isNameAlone && isWritableDirectory(parent, context) ? directory : nil
                }
            })
    ]

    /// `~/.ipython`, unless version 1 left its directory and nothing newer is there.
    private static func standard(_ context: ResolutionContext) -> String {
        let own = join(context.homeDirectory, ".ipython")
        let config = context.filled("XDG_CONFIG_HOME") ?? join(context.homeDirectory, ".config")
        let old = join(config, "ipython")
        guard !context.exists(own), context.files.access(to: context.absolute(old)) == .writable else { return own }
        return isWritableDirectory(config, context) && isWritableDirectory(old, context) ? old : own
    }

    private static func isWritableDirectory(_ path: String, _ context: ResolutionContext) -> Bool {
        let path = context.absolute(path)
        return context.isWritable(path) && context.files.entry(at: path)?.isDirectory != false
    }
}
