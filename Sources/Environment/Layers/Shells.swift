import LinuxKit

extension EnvironmentLayer {
    /// `env.sh` and `env.py` in the runtime directory: what the programs of the other layers read.
    static let runtimeFiles = EnvironmentLayer(id: "runtime", reaches: [], nature: .program) { context in
        let places = context.places
        let renderer = EnvironmentRenderer(plan: context.plan, readyFlag: places.readyFlag)
        return LayerWish(edits: [
            FileEdit(places.environmentFile, in: places.runtimeDirectory, .own(renderer.render(.sh))),
            FileEdit(places.pythonFile, in: places.runtimeDirectory, .own(PythonHook.code(context))),
        ])
    }

    /// `/etc/profile.d`: login shells of POSIX kind.
    static let profile = EnvironmentLayer(
        id: "profile.d", reaches: [.loginShell, .sshTerminal, .jupyterTerminal, .su], nature: .program
    ) { context in
        guard context.exists("/etc/profile.d") else { return .absent("there is no /etc/profile.d") }
        return LayerWish(edits: [
            FileEdit(
                context.path("/etc/profile.d/packet-agent.sh"), in: context.etc,
                .block(sourceLine(context) + loginLines(context), at: .last))
        ])
    }

    /// The top of `/etc/bash.bashrc`, above the line that ends it for shells that are not interactive: Debian's bash reads it
    /// for `ssh host command` too.
    static let bashStartup = EnvironmentLayer(
        id: "bash.bashrc", reaches: [.interactiveShell, .sshCommand, .sshTerminal], nature: .program
    ) { context in
        // The name is compiled in: Debian's and SUSE's, else Fedora's, which its dotfiles read.
        guard let file = ["/etc/bash.bashrc", "/etc/bashrc"].first(where: context.exists) else {
            return .absent("there is no /etc/bash.bashrc")
        }
        return LayerWish(edits: [
            FileEdit(context.path(file), in: context.etc, .block(sourceLine(context), at: .first))
        ])
    }

    /// zsh reads its zshenv in every case, `zsh -f` too.
    static let zshStartup = EnvironmentLayer(id: "zshenv", reaches: [.zsh], nature: .program) { context in
        let isDebian = context.exists("/etc/zsh")
        guard isDebian || ["/bin/zsh", "/usr/bin/zsh", "/usr/local/bin/zsh"].contains(where: context.exists) else {
            return .absent("zsh is not installed")
        }
        return LayerWish(edits: [
            FileEdit(
                context.path(isDebian ? "/etc/zsh/zshenv" : "/etc/zshenv"), in: context.etc,
                .block(sourceLine(context), at: .first))
        ])
    }

    /// fish reads conf.d in every case but with `--no-config`.
    static let fishStartup = EnvironmentLayer(id: "fish", reaches: [.fish], nature: .program) { context in
        guard context.exists("/etc/fish") else { return .absent("fish is not installed") }
        let renderer = EnvironmentRenderer(plan: context.plan, readyFlag: context.places.readyFlag)
        return LayerWish(edits: [
            FileEdit(
                context.path("/etc/fish/conf.d/packet-agent.fish"), in: context.etc,
                .block(renderer.render(.fish), at: .last))
        ])
    }

    private static func sourceLine(_ context: LayerContext) -> [UInt8] {
        let path = String(decoding: ShellQuoting.posix(context.places.environmentFile.utf8), as: UTF8.self)
        return Array("if [ -r \(path) ]; then . \(path); fi\n".utf8)
    }

    private static func loginLines(_ context: LayerContext) -> [UInt8] {
        let login = String(decoding: ShellQuoting.posix(context.places.loginFile.utf8), as: UTF8.self)
        let boot = String(decoding: ShellQuoting.posix(context.places.bootLoginFile.utf8), as: UTF8.self)
        // The only thing that ever waits for boot, and only when it is told to.
        let seconds = context.places.holdLoginSeconds
        let booting = String(decoding: ShellQuoting.posix(context.places.bootingFlag.utf8), as: UTF8.self)
        let hold = """
            packet_agent_left=\(seconds)
            while [ -e \(booting) ] && [ "$packet_agent_left" -gt 0 ]; do
                sleep 1
                packet_agent_left=$((packet_agent_left - 1))
            done
            unset packet_agent_left

            """
        // Interactive shells only, and with the shell's own means: no login waits for a program of ours or for a volume.
        return Array(
            """
            case $- in *i*) \(seconds > 0 ? hold : "")if [ -s \(boot) ] && read -r packet_agent_text <\(boot); then
                if [ -t 1 ] && [ -z "${NO_COLOR-}" ] && [ "${TERM-dumb}" != dumb ]; then
                    printf '\\033[31m%s\\033[0m\\n' "$packet_agent_text"
                else
                    printf '%s\\n' "$packet_agent_text"
                fi
                unset packet_agent_text
            fi
            if [ -s \(login) ]; then
                while read -r packet_agent_at packet_agent_text; do
                    case $packet_agent_at in '' | *[!0-9]*) continue ;; esac
                    packet_agent_at=$(((${EPOCHSECONDS:-$(date +%s)} - packet_agent_at) / 60))
                    if [ "$packet_agent_at" -gt 0 ]; then
                        packet_agent_text="$packet_agent_text ($packet_agent_at min ago)"
                    fi
                    printf '%s\\n' "$packet_agent_text"
                done <\(login)
                unset packet_agent_at packet_agent_text
            fi ;; esac

            """.utf8)
    }
}
