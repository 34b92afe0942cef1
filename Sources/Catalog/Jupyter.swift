/// Jupyter (jupyter_core 5.9 `paths.py`).
enum Jupyter {
    static let locations = [
        ToolLocation(
            id: "jupyter-data", title: "Jupyter data", kind: "notebook", placement: .synced,
            variables: ["JUPYTER_DATA_DIR"],
            note: "holds a SQLite database and sockets, which network file systems break",
            resolve: { context in
                if let directory = context.filled("JUPYTER_DATA_DIR") { return context.absolute(directory) }
                let data = context.filled("XDG_DATA_HOME") ?? join(context.homeDirectory, ".local", "share")
                return context.absolute(join(data, "jupyter"))
            })
    ]
}
