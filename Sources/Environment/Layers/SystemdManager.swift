extension EnvironmentLayer {
    /// A program that systemd's manager runs at its start and at `daemon-reload` (systemd.environment-generator(7)); services
    /// get what it prints. The running manager is told by ``LayerPrograms``.
    static let systemdManager = EnvironmentLayer(
        id: "systemd", reaches: [.systemdService], nature: .program, reader: .systemdManager
    ) { context in
        let programs = ["/lib/systemd/systemd", "/usr/lib/systemd/systemd"]
        guard programs.contains(where: context.exists) else { return .absent("systemd is not installed") }
        var wish = LayerWish()
        let quote = { (bytes: [UInt8]) in String(decoding: ShellQuoting.posix(bytes), as: UTF8.self) }
        // A program needs its first line, so this file cannot carry marks; it is known by its digest.
        var text = "#!/bin/sh\n# Written by packet-agent; `packet-agent env revert` removes it.\n"
        text += "[ -e \(quote(Array(context.places.readyFlag.utf8))) ] || exit 0\n"
        for variable in context.plan.variables {
            guard let value = ShellQuoting.systemd(variable.value.utf8) else {
                wish.left.append(
                    LeftAlone(
                        "\(variable.name) in systemd", "systemd refuses control characters and bytes that are not UTF-8"
                    ))
                continue
            }
            let line = quote(Array("\(variable.name)=".utf8) + value)
            let old = variable.replaces.map { "|" + quote(Array($0.utf8)) } ?? ""
            text += "case \"${\(variable.name)-}\" in ''\(old)) printf '%s\\n' \(line) ;; esac\n"
        }
        wish.edits = [
            FileEdit(
                context.path("/etc/systemd/system-environment-generators/60-packet-agent"), in: context.etc,
                .whole(Array(text.utf8)), mode: 0o755)
        ]
        return wish
    }
}
