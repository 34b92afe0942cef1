/// Packages of `pip install --user` (CPython 3.11 `site.py`, `_getuserbase`, `check_enableusersite`).
enum PythonUserSite {
    static let locations = [
        ToolLocation(
            id: "python-user-site", title: "Python user packages", kind: "other", placement: .synced,
            variables: ["PYTHONUSERBASE"], isLeftUnset: true,
            note: "packages of different interpreters would mix, and imports would read from the network",
            resolve: { context in
                if context.filled("PYTHONNOUSERSITE") != nil || isIsolatedEnvironment(context) { return nil }
                return context.absolute(context.filled("PYTHONUSERBASE") ?? context.expandUser("~/.local"))
            })
    ]

    /// A virtual environment without `--system-site-packages` does not look there.
    private static func isIsolatedEnvironment(_ context: ResolutionContext) -> Bool {
        guard let text = context.files.text(of: context.absolute(join(context.pythonPrefix, "pyvenv.cfg"))) else {
            return false
        }
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1).map { trim($0).lowercased() }
            if parts.count == 2 && parts[0] == "include-system-site-packages" { return parts[1] != "true" }
        }
        // `site.py` starts from "true".
        return false
    }
}
