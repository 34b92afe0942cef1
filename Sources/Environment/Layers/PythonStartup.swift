extension EnvironmentLayer {
    /// A `.pth` file in each interpreter's site-packages: reaches Python however it was started, and what it starts, such as
    /// the kernels and terminals of a Jupyter server.
    ///
    /// The file only runs `env.py` of the runtime directory and says nothing when that fails. Virtual environments have
    /// site-packages of their own and are not touched.
    static let pythonStartup = EnvironmentLayer(
        id: "python", reaches: [.python, .jupyterKernel, .jupyterTerminal], nature: .program
    ) { context in
        guard !context.plan.pythons.isEmpty else { return .absent("there is no Python") }
        let file = context.places.pythonFile
        // The path stands in a string in a string.
        guard file.utf8.allSatisfy({ PythonHook.isPlain($0) }) else {
            return LayerWish(left: [
                LeftAlone("python", "agent.runtime_directory holds characters that would need quoting")
            ])
        }
        let line =
            "import sys; exec(\"try:\\n with open('\(file)', 'rb') as f: exec(f.read(), {})\\nexcept Exception: pass\")\n"
        var wish = LayerWish()
        for directory in context.plan.pythons.map(\.siteDirectory) {
            guard context.exists(directory) else {
                wish.left.append(LeftAlone(directory, "the directory does not exist"))
                continue
            }
            let path = context.path(directory + "/packet_agent_env.pth")
            guard !wish.edits.contains(where: { $0.path == path }) else { continue }
            wish.edits.append(FileEdit(path, in: context.path(directory), .block(Array(line.utf8), at: .last)))
        }
        return wish
    }
}

/// The Python program behind the `.pth` files.
enum PythonHook {
    /// Sets what is unset, and puts the volume's packages that fit the interpreter in front of site-packages.
    ///
    /// Tests the ready flag first and never looks at the volume: which packages fit was found out before, in a child.
    static func code(_ context: LayerContext) -> [UInt8] {
        let literal = { (text: String) in String(decoding: ShellQuoting.pythonBytes(text.utf8), as: UTF8.self) }
        let plan = context.plan
        var text = """
            # Written by packet-agent at every boot; changes are lost. `packet-agent env` explains it.
            def _packet_agent():
                import os, sys
                if not os.path.exists(\(literal(context.places.readyFlag))):
                    return
                environ = os.environb
                def give(name, value, *replaced):
                    if environ.get(name, b'') in (b'',) + replaced:
                        environ[name] = value
                def lead(name, value):
                    old = environ.get(name, b'')
                    if value not in old.split(b':'):
                        environ[name] = value + (b':' + old if old else b'')
                home = environ.get(b'HOME', b'')
                def own(name, values, under):
                    value = values.get(os.geteuid())
                    if value is None and home.startswith(b'/'):
                        value = home.rstrip(b'/') + b'/' + under
                    if value is not None:
                        give(name, value)

            """
        for variable in plan.variables {
            let words =
                [literal(variable.name), literal(variable.value)] + (variable.replaces.map { [literal($0)] } ?? [])
            text += "    \(variable.combination == .set ? "give" : "lead")(\(words.joined(separator: ", ")))\n"
        }
        for variable in plan.userVariables {
            let values = plan.users.compactMap { user in
                variable.valueByHome[user.home].map { "\(user.uid): \(literal($0))" }
            }
            text +=
                "    own(\(literal(variable.name)), {\(values.joined(separator: ", "))}, \(literal(variable.underHome)))\n"
        }
        let packages = plan.pythonDirectories.sorted { $0.key < $1.key }.map { version, directory in
            "(\(version.major), \(version.minor)): \(literal(directory))"
        }
        text += """
                # As for PYTHONPATH: not for interpreters that were told to ignore it, nor in a virtual environment.
                if sys.flags.isolated or sys.flags.ignore_environment or sys.prefix != sys.base_prefix:
                    return
                directory = {\(packages.joined(separator: ", "))}.get(sys.version_info[:2])
                if directory is None or os.fsdecode(directory) in sys.path:
                    return
                user = getattr(sys.modules.get('site'), 'USER_SITE', None)
                for index, entry in enumerate(sys.path):
                    if os.path.basename(entry) in ('site-packages', 'dist-packages') and entry != user:
                        sys.path.insert(index, os.fsdecode(directory))
                        break
            try:
                _packet_agent()
            except Exception:
                pass

            """
        return Array(text.utf8)
    }

    /// Letters, digits and what stands in paths without meaning anything to Python.
    static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: Array("/._-".utf8).contains(byte)
        }
    }
}
