/// Jupyter (jupyter_core 5.9 `paths.py`).
enum Jupyter {
    static let locations = [
        ToolLocation(
            id: "jupyter-data", title: "Jupyter data", kind: "notebook", placement: .synced,
            variables: ["JUPYTER_DATA_DIR"],
            note: "holds a SQLite database and sockets, which network file systems break",
            resolve: { $0.absolute(data($0)) }),
        ToolLocation(
            id: "jupyter-configuration", title: "Jupyter settings", kind: "dotfile", placement: .secret,
            variables: ["JUPYTER_CONFIG_DIR"], note: "holds the hash of the server's password",
            resolve: { context in
                // Then a new temporary directory at every start.
                if context.filled("JUPYTER_NO_CONFIG") != nil { return nil }
                if let directory = context.filled("JUPYTER_CONFIG_DIR") { return context.absolute(directory) }
                if usesPlatformDirectories(context) {
                    return context.absolute(PlatformDirectories(context).config("jupyter"))
                }
                return context.absolute(join(context.homeDirectory, ".jupyter"))
            }),
        ToolLocation(
            id: "jupyter-runtime", title: "Jupyter sockets", kind: "other", placement: .local,
            variables: ["JUPYTER_RUNTIME_DIR"], parent: "jupyter-data", note: "sockets and keys of running kernels",
            resolve: { $0.absolute($0.filled("JUPYTER_RUNTIME_DIR") ?? join(data($0), "runtime")) }),
    ]

    private static func data(_ context: ResolutionContext) -> String {
        if let directory = context.filled("JUPYTER_DATA_DIR") { return directory }
        if usesPlatformDirectories(context) { return PlatformDirectories(context).data("jupyter") }
        return join(context.filled("XDG_DATA_HOME") ?? join(context.homeDirectory, ".local", "share"), "jupyter")
    }

    /// `envset`: every word but these counts as yes.
    private static func usesPlatformDirectories(_ context: ResolutionContext) -> Bool {
        guard let value = context.value("JUPYTER_PLATFORM_DIRS") else { return false }
        return !["no", "n", "false", "off", "0", "0.0"].contains(value.lowercased())
    }
}
