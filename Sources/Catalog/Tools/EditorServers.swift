/// The remote parts of VS Code and its relatives (`cli/src/constants.rs` of vscode; extensions and settings lie inside).
enum EditorServers {
    static let locations = [
        server("vscode-server", "VS Code server", ".vscode-server", variables: ["VSCODE_AGENT_FOLDER"]),
        server("cursor-server", "Cursor server", ".cursor-server", variables: []),
    ]

    private static func server(_ id: String, _ title: String, _ name: String, variables: [String]) -> ToolLocation {
        ToolLocation(
            id: id, title: title, kind: "other", placement: .synced, variables: variables, isLeftUnset: true,
            note: "locks that network file systems refuse; the client decides where it goes",
            resolve: { context in
                let named = variables.lazy.compactMap(context.filled).first
                return context.absolute(named ?? join(context.homeDirectory, name))
            })
    }
}
