import Catalog

/// The rules of ``EnvironmentPlan/make(_:tools:)``.
struct Planner {
    let facts: EnvironmentPlan.Facts
    let tools: [ToolLocation]
    var plan = EnvironmentPlan()
    private let context: ResolutionContext

    /// Variables that move more than one tool's data, or that break tools: never set (docs/decisions).
    private static let never: [(name: String, reason: String)] = [
        (
            "XDG_CACHE_HOME",
            "it would also move compile caches and package caches that break or crawl on a network file system"
        ),
        ("PIP_TARGET", "it breaks source builds, upgrades and uninstalls with the pip of current distributions"),
        ("PIP_USER", "it makes every pip install in a virtual environment fail"),
        ("TMPDIR", "temporary files belong on local disk"),
    ]

    /// What leaves HF_HOME when that moves to a volume which users share: below the user's private directory on the volume
    /// (nil: not on the volume), and below the home directory of users without one.
    private static let privatePlaces: [String: (onVolume: String?, underHome: String)] = [
        "huggingface-token": ("hf/token", ".cache/huggingface/token"),
        "huggingface-xet": (nil, ".cache/huggingface/xet"),
    ]

    init(facts: EnvironmentPlan.Facts, tools: [ToolLocation]) {
        self.facts = facts
        self.tools = tools
        context = ResolutionContext(
            environment: facts.container, home: facts.container["HOME"] ?? "/root", files: facts.files)
    }

    mutating func decide() {
        for tool in tools {
            guard let name = tool.variables.first, !isPersonal(tool) else { continue }
            guard let volume = facts.volume else {
                skip(name, facts.noVolumeReason)
                continue
            }
            if tool.isLeftUnset {
                skip(name, tool.note)
            } else if tool.placement == .direct, let subdirectory = tool.volumeSubdirectory {
                decide(tool, name: name, value: volume.mountPoint + "/" + subdirectory)
            } else if let rule = Self.privatePlaces[tool.id] {
                decidePrivate(tool, name: name, rule, volume: volume)
            } else {
                skip(name, tool.note)
            }
        }
        decidePythonPath()
        decideBashEnvironment()
        for (name, reason) in Self.never { skip(name, reason) }
        // Two places of one tool may hang on one variable.
        let set = Set(plan.variables.map(\.name) + plan.userVariables.map(\.name))
        plan.skipped.removeAll { set.contains($0.name) }
        plan.volume = facts.volume
        plan.users = facts.users
        plan.pythons = facts.pythons
        if let volume = facts.volume {
            for version in Set(facts.pythons.map(\.version)) {
                plan.pythonDirectories[version] = facts.pythonPackages.directory(
                    for: version, in: volume.mountPoint + "/pip-packages")
            }
        }
    }

    /// Keys, tokens and settings have places of their own, whatever their variables say; nobody expects them in this plan.
    private func isPersonal(_ tool: ToolLocation) -> Bool {
        (tool.placement == .secret || tool.kind == "dotfile") && Self.privatePlaces[tool.id] == nil
    }

    private mutating func skip(_ name: String, _ reason: String) {
        plan.skipped.append(EnvironmentPlan.Skipped(name: name, reason: reason))
    }

    private func isSet(_ name: String) -> Bool { plan.variables.contains { $0.name == name } }

    private mutating func decide(_ tool: ToolLocation, name: String, value: String) {
        let given = tool.variables.first { context.environment[$0]?.isEmpty == false }
        if let kept = tool.variables.first(where: facts.keep.contains) {
            return skip(name, "kept as it is (environment.keep names \(kept))")
        }
        if let given, let path = context.environment[given], path.hasPrefix("/"), facts.isPersistent(path) {
            return skip(name, "the container sets \(given)=\(path), which survives the pod")
        }
        guard let current = tool.resolve(context) else { return skip(name, "switched off in the container") }
        if survives(current, without: value) { return skip(name, "already at \(current), which survives the pod") }
        if let path = configured(tool) {
            return skip(name, "a configuration file puts it at \(path), and what the user sets wins")
        }
        if given == nil, let parent = tool.parent.flatMap({ id in tools.first { $0.id == id } }),
            let root = parent.variables.first
        {
            // Set by itself it would beat an HF_HOME that the user sets later, for example in a dotfile.
            if isSet(root) {
                link(tool, to: value)
                return skip(name, "follows \(root)")
            }
            if parent.variables.contains(where: facts.keep.contains) {
                return skip(name, "follows \(root), which is kept")
            }
        }
        if let reason = misreading(tool, name: name, value: value) { return skip(name, reason) }
        plan.variables.append(
            EnvironmentVariable(
                name: name, value: value, why: why(tool, given: given, current: current),
                replaces: context.environment[name].flatMap { $0.isEmpty ? nil : $0 }))
        link(tool, to: value)
    }

    /// Whether data survives where it is, other than through a link that we made.
    private func survives(_ path: String, without target: String) -> Bool {
        facts.isPersistent(path) && facts.linkTarget(path) != target
    }

    /// Where a configuration file of the tool puts its data for one of the users; nil when none does. A variable would beat
    /// the file.
    private func configured(_ tool: ToolLocation) -> String? {
        guard !tool.variables.contains(where: { context.environment[$0]?.isEmpty == false }) else { return nil }
        for user in facts.users {
            var own = context
            own.environment["HOME"] = user.home
            own.home = user.home
            var bare = own
            bare.files = FilesWithoutText(files: facts.files)
            if let path = tool.resolve(own), path != tool.resolve(bare) { return path }
        }
        return nil
    }

    /// The tool's data goes to the volume: the directory must exist, and the default place may become a link to it. Only a
    /// leaf, because what lies beside it stays (the token beside the models).
    private mutating func link(_ tool: ToolLocation, to value: String) {
        guard let subdirectory = tool.volumeSubdirectory else { return }
        plan.directories.append(.shared(subdirectory))
        guard !tools.contains(where: { $0.parent == tool.id && !$0.isLeftUnset }) else { return }
        for user in facts.users where !facts.isPersistent(user.home) {
            let context = ResolutionContext(
                environment: ["HOME": user.home], home: user.home, uid: user.uid, files: NoFiles())
            guard let path = tool.resolve(context), path.hasPrefix(user.home + "/"), !survives(path, without: value)
            else {
                continue
            }
            plan.links.append(CacheLink(path: path, target: value, home: user.home, uid: user.uid))
        }
    }

    private func why(_ tool: ToolLocation, given: String?, current: String) -> String {
        guard let given else { return "\(tool.title): \(tool.note); \(current) is lost with the pod" }
        return "\(tool.title): the container sets \(given), but \(current) is lost with the pod"
    }

    /// Asks the tool's own rule whether it would understand the value: some expand `$`, some split at colons.
    private func misreading(_ tool: ToolLocation, name: String, value: String) -> String? {
        var after = context
        after.environment[name] = value
        after.files = FilesWithDirectory(files: facts.files, path: value)
        let path = tool.resolve(after)
        let expected = after.expectedForm(of: value)
        if let path, path == expected || path.hasPrefix(expected + "/") { return nil }
        return "the tool would read \(value) as \(path ?? "nothing")"
    }

    private mutating func decidePrivate(
        _ tool: ToolLocation, name: String, _ rule: (onVolume: String?, underHome: String),
        volume: EnvironmentPlan.Volume
    ) {
        if let given = context.environment[name], !given.isEmpty {
            return skip(name, "the container sets \(name)=\(given)")
        }
        guard let parent = tool.parent.flatMap({ id in tools.first { $0.id == id } })?.variables.first, isSet(parent)
        else {
            return skip(name, tool.note)
        }
        var values: [String: String] = [:]
        if let own = rule.onVolume {
            for user in facts.users {
                let path = ".packet/secrets/\(user.uid)/\(own)"
                values[user.home] = volume.mountPoint + "/" + path
                let directory = path.split(separator: "/").dropLast().joined(separator: "/")
                plan.directories.append(.private(".packet/secrets/\(user.uid)", uid: user.uid))
                plan.directories.append(.private(directory, uid: user.uid))
            }
        }
        plan.userVariables.append(
            UserVariable(name: name, valueByHome: values, underHome: rule.underHome, why: "\(tool.title): \(tool.note)")
        )
    }

    private mutating func decideBashEnvironment() {
        guard let file = facts.bashEnvironment, facts.volume != nil else { return }
        let existing = context.environment["BASH_ENV"] ?? ""
        guard existing.isEmpty || existing == file else {
            return skip("BASH_ENV", "the container sets BASH_ENV=\(existing)")
        }
        plan.variables.append(
            EnvironmentVariable(
                name: "BASH_ENV", value: file, why: "bash reads it before scripts and commands (environment.bash_env)"))
    }

    private mutating func decidePythonPath() {
        let name = "PYTHONPATH"
        guard let volume = facts.volume else { return skip(name, facts.noVolumeReason) }
        let value = volume.mountPoint + "/pip-packages"
        if facts.keep.contains(name) { return skip(name, "kept as it is (environment.keep names \(name))") }
        if value.contains(":") { return skip(name, "the volume's path holds a colon, which separates paths") }
        switch facts.pythonPath {
        case .never: return skip(name, "switched off (environment.pythonpath)")
        case .always: break
        case .auto:
            if let reason = facts.pythonPackages.obstacle { return skip(name, reason) }
        }
        let existing = context.environment[name] ?? ""
        if existing.split(separator: ":").contains(Substring(value)) {
            return skip(name, "the container already names \(value)")
        }
        let why =
            facts.pythonPath == .always
            ? "packages on the volume (environment.pythonpath is \"always\")"
            : "packages on the volume fit every python3 on PATH"
        plan.variables.append(EnvironmentVariable(name: name, value: value, why: why, combination: .prepend))
    }
}

extension ResolutionContext {
    /// A path without doubled slashes and dots, as every rule of the catalog answers it.
    fileprivate func expectedForm(of path: String) -> String {
        "/" + path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }
}
