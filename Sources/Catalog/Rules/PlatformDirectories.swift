/// The directories of platformdirs (4.14 `unix.py`, `_xdg.py`), which many Python programs use: the variables of the XDG
/// specification when they are absolute, else directories in the home.
struct PlatformDirectories {
    private let context: ResolutionContext
    private let isVendoredByPip: Bool

    /// - Parameter isVendoredByPip: the copy in pip 26.3 cuts blanks around values and takes a relative HOME.
    init(_ context: ResolutionContext, isVendoredByPip: Bool = false) {
        self.context = context
        self.isVendoredByPip = isVendoredByPip
    }

    /// `user_cache_dir`.
    func cache(_ application: String) -> String { directory("XDG_CACHE_HOME", ".cache", application) }
    /// `user_config_dir`.
    func config(_ application: String) -> String { directory("XDG_CONFIG_HOME", ".config", application) }
    /// `user_data_dir`.
    func data(_ application: String) -> String { directory("XDG_DATA_HOME", ".local/share", application) }

    /// `site_config_dir` with `multipath`: the first is the strongest.
    func siteConfig(_ application: String) -> [String] {
        let named = (context.value("XDG_CONFIG_DIRS") ?? "").split(separator: ":").map { cut(String($0)) }
        let absolute = named.filter { $0.hasPrefix("/") }
        return (absolute.isEmpty ? ["/etc/xdg"] : absolute).map { join($0, application) }
    }

    private func directory(_ variable: String, _ underHome: String, _ application: String) -> String {
        let value = cut(context.value(variable) ?? "")
        return join(value.hasPrefix("/") ? value : join(home, underHome), application)
    }

    private var home: String {
        var context = context
        // An empty HOME counts as unset, a relative one too; `os.path.expanduser` would take both.
        let home = context.environment["HOME"] ?? ""
        if home.isEmpty || !isVendoredByPip && !home.hasPrefix("/") { context.environment["HOME"] = nil }
        return context.homeDirectory
    }

    private func cut(_ value: String) -> String { isVendoredByPip ? trim(value) : value }
}

/// The text without white space around it: `str.strip()`.
func trim(_ text: some StringProtocol) -> String {
    var text = Substring(text)
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
}
