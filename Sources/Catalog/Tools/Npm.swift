/// npm (@npmcli/config: variables before `.npmrc` of the project, of the user, of the system).
enum Npm {
    static let locations = [
        ToolLocation(
            id: "npm-cache", title: "npm cache", kind: "other", placement: .synced, variables: ["npm_config_cache"],
            note: "many small files, cheap to download again",
            resolve: { context in
                var files = [context.absolute(".npmrc")]
                files.append(context.absolute(setting("userconfig", context) ?? join(context.homeOfRust, ".npmrc")))
                files += ["/usr/local/etc/npmrc", "/etc/npmrc"]
                let written = files.lazy.compactMap { context.files.text(of: $0) }.compactMap(cache).first
                let directory = setting("cache", context) ?? written ?? "~/.npm"
                // npm expands `~/` only, with the home directory of os.homedir().
                return context.absolute(
                    directory.hasPrefix("~/") ? join(context.homeOfRust, String(directory.dropFirst(2))) : directory)
            })
    ]

    /// `npm_config_NAME` in any case; empty ones are passed over.
    private static func setting(_ name: String, _ context: ResolutionContext) -> String? {
        context.environment.sorted { $0.key < $1.key }.first {
            $0.key.lowercased() == "npm_config_" + name && !$0.value.isEmpty
        }?.value
    }

    private static func cache(_ text: String) -> String? {
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1).map(trim)
            if parts.count == 2 && parts[0] == "cache" && !parts[1].isEmpty { return parts[1] }
        }
        return nil
    }
}
