/// Go (cmd/go/internal/cfg, `go env`): a variable, then the file that `go env -w` writes, then a default in HOME. Relative
/// paths are refused.
enum Go {
    static let locations = [
        ToolLocation(
            id: "go", title: "Go programs", kind: "other", placement: .synced, variables: ["GOPATH"],
            note: "many small files", resolve: { path($0) }),
        ToolLocation(
            id: "go-modules", title: "Go modules", kind: "other", placement: .synced, variables: ["GOMODCACHE"],
            parent: "go", note: "many small read-only files, cheap to download again",
            resolve: { context in
                accepted(setting("GOMODCACHE", context) ?? path(context).map { join($0, "pkg", "mod") }, context)
            }),
        ToolLocation(
            id: "go-build", title: "Go build cache", kind: "compile-cache", placement: .synced, variables: ["GOCACHE"],
            note: "many small files behind locks",
            resolve: { context in
                // os.UserCacheDir; "off" is refused like any relative path.
                let home = context.filled("HOME").map { join($0, ".cache") }
                return accepted(
                    setting("GOCACHE", context)
                        ?? (context.filled("XDG_CACHE_HOME") ?? home).map { join($0, "go-build") }, context)
            }),
    ]

    /// The first entry of GOPATH is the one that is written to.
    private static func path(_ context: ResolutionContext) -> String? {
        guard let list = setting("GOPATH", context) else {
            return accepted(context.filled("HOME").map { join($0, "go") }, context)
        }
        return accepted(list.split(separator: ":").first.map(String.init), context)
    }

    private static func accepted(_ path: String?, _ context: ResolutionContext) -> String? {
        path.flatMap { $0.hasPrefix("/") ? context.absolute($0) : nil }
    }

    private static func setting(_ name: String, _ context: ResolutionContext) -> String? {
        if let value = context.filled(name) { return value }
        let config = context.filled("XDG_CONFIG_HOME") ?? context.filled("HOME").map { join($0, ".config") }
        guard let file = context.filled("GOENV") ?? config.map({ join($0, "go", "env") }), file != "off",
            let text = context.files.text(of: context.absolute(file))
        else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix(name + "=") }
        return line.map { trim($0.dropFirst(name.count + 1)) }.flatMap { $0.isEmpty ? nil : $0 }
    }
}
