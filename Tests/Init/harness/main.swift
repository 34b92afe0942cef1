import CLinux
import Glibc
import Init

// init-harness [--NAME VALUE]... -- CMD [ARG...]: the entrypoint without the rest of packet-agent, with a stand-in for it.
var options = Entrypoint.Options()
guard let words = clinux_arguments() else { exit(64) }
var index = 1
while let name = words[index], let value = words[index + 1], strcmp(name, "--") != 0 {
    let text = String(cString: value)
    let number = UInt64(text) ?? 0
    switch String(cString: name) {
    case "--agent": options.agent = text
    case "--answer-ms": options.answerMilliseconds = number
    case "--stop-ms": options.stopMilliseconds = number
    case "--shortest-pause-ms": options.shortestPauseMilliseconds = number
    case "--longest-pause-ms": options.longestPauseMilliseconds = number
    default: exit(64)
    }
    index += 2
}
guard let command = Entrypoint.command(from: index) else { exit(64) }
exit(Entrypoint.run(command, options: options))
