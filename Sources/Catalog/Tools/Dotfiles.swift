/// What shells and programs read from the home directory: small files that a user misses at once.
enum Dotfiles {
    static let locations =
        [
            file(".bashrc"), file(".bash_profile"), file(".bash_login"), file(".bash_aliases"), file(".profile"),
            file(".inputrc", variable: "INPUTRC"), file(".bash_history", variable: "HISTFILE"),
            zsh(".zshenv"), zsh(".zprofile"), zsh(".zshrc"), zsh(".zsh_history"),
            file(".tmux.conf"), file(".vimrc"), file(".gitconfig", variable: "GIT_CONFIG_GLOBAL"),
            ToolLocation(
                id: "dotfile-config", title: "settings of programs", kind: "dotfile", placement: .synced,
                variables: ["XDG_CONFIG_HOME"], isLeftUnset: true,
                note: "it holds the files of many programs, some of them secret",
                resolve: { $0.absolute($0.filled("XDG_CONFIG_HOME") ?? join($0.homeDirectory, ".config")) }),
        ]

    private static func file(_ name: String, variable: String? = nil) -> ToolLocation {
        ToolLocation(
            id: "dotfile-" + name.dropFirst().replacing(".", with: "-"), title: name, kind: "dotfile",
            placement: .synced,
            variables: variable.map { [$0] } ?? [], isLeftUnset: true, note: "a small file of the user",
            resolve: { context in
                context.absolute(variable.flatMap(context.filled) ?? join(context.homeDirectory, name))
            })
    }

    /// ZDOTDIR moves all files of zsh.
    private static func zsh(_ name: String) -> ToolLocation {
        ToolLocation(
            id: "dotfile-" + name.dropFirst(), title: name, kind: "dotfile", placement: .synced, variables: ["ZDOTDIR"],
            isLeftUnset: true, note: "a small file of the user",
            resolve: { $0.absolute(join($0.filled("ZDOTDIR") ?? $0.homeDirectory, name)) })
    }
}
