extension EnvironmentLayer {
    /// `/etc/environment`, which pam_env(8) reads for cron, su, login and, with `UsePAM yes`, sshd.
    ///
    /// Variables of the file's own lines win. It is no program, so it cannot tell users apart: only what is the same for all.
    static let pamEnvironment = EnvironmentLayer(
        id: "environment", reaches: [.cron, .su, .sshCommand, .sshTerminal, .loginShell], nature: .whileReady
    ) { context in
        guard context.exists("/etc/pam.d") else { return .absent("PAM is not installed") }
        let own = LocalText.othersLines(context.read("/etc/environment")).compactMap(PAMSyntax.name)
        var wish = LayerWish()
        var body: [UInt8] = []
        for variable in context.plan.variables {
            let subject = "\(variable.name) in /etc/environment"
            if own.contains(variable.name) {
                wish.left.append(LeftAlone(subject, "the file sets it itself"))
            } else if let value = ShellQuoting.pam(variable.value.utf8), variable.name.utf8.count + value.count < 1000 {
                body += Array(variable.name.utf8) + [UInt8(ascii: "=")] + value + [UInt8(ascii: "\n")]
            } else {
                wish.left.append(
                    LeftAlone(
                        subject, "readers of this file disagree about quotes, $, \\, #, control characters and length"))
            }
        }
        guard !body.isEmpty else { return wish }
        wish.edits = [FileEdit(context.path("/etc/environment"), in: context.etc, .block(body, at: .last))]
        return wish
    }
}

/// What pam_env makes of a line of /etc/environment (pam_env.c, `_parse_env_file`).
enum PAMSyntax {
    /// The variable that a line sets or deletes; nil for comments and nonsense.
    static func name(_ line: String) -> String? {
        var text = Substring(line).drop { $0 == " " || $0 == "\t" }
        if text.hasPrefix("export ") { text = text.dropFirst(7).drop { $0 == " " || $0 == "\t" } }
        let name = text.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        return name.isEmpty ? nil : String(name)
    }
}
