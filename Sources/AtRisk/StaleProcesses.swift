import Glibc
public import LinuxKit
import Storage

/// A process that started before the environment was set and so writes to the old places.
public struct StaleProcess: Sendable, Equatable {
    /// The process.
    public let pid: Int32
    /// What a person calls it, safe for a terminal: `python -m ipykernel_launcher`.
    public let command: String
    /// Names of variables that it does not have, sorted.
    public let missing: [String]
    /// What to do: `restart this kernel`.
    public let advice: String
}

/// Finds processes that started before the environment was set.
///
/// Only those whose data matters are looked at: Python, Jupyter, and shells on a terminal. A variable that a process has,
/// with whatever value, was somebody's choice.
public struct StaleProcesses: Sendable {
    private let table: ProcessTable
    private let variables: [String]
    private let since: FileStatus.Time

    /// - Parameters:
    ///   - variables: names that the environment sets.
    ///   - since: when it was set.
    public init(variables: [String], since: FileStatus.Time, proc: String = "/proc") {
        table = ProcessTable(proc: proc)
        self.variables = variables.sorted()
        self.since = since
    }

    /// The processes, by number.
    public func find() -> [StaleProcess] {
        guard !variables.isEmpty, let boot = bootTime() else { return [] }
        let ticksPerSecond = Double(sysconf(Int32(_SC_CLK_TCK)))
        return table.all().compactMap { process in
            let started = boot + Double(process.startTicks) / ticksPerSecond
            guard started < Double(since.seconds), let advice = advice(process),
                let environment = environment(process.pid)
            else { return nil }
            let missing = variables.filter { !environment.contains($0) }
            guard !missing.isEmpty else { return nil }
            return StaleProcess(
                pid: process.pid, command: table.command(process.pid), missing: missing, advice: advice)
        }.sorted { $0.pid < $1.pid }
    }

    /// What to do about a process; nil when its environment does not matter.
    private func advice(_ process: ProcessFacts) -> String? {
        let arguments = table.arguments(process.pid).map { String(decoding: $0, as: UTF8.self) }
        guard let first = arguments.first else { return nil }
        // A login shell's name begins with a dash.
        let name = String(decoding: BytePath(first).lastComponent.bytes.drop { $0 == UInt8(ascii: "-") }, as: UTF8.self)
        if ["bash", "sh", "dash", "zsh", "fish", "ksh", "tmux: server", "tmux", "screen"].contains(name) {
            return process.hasTerminal ? "open a new shell" : nil
        }
        if arguments.contains(where: { $0.contains("ipykernel") || $0.contains("kernel-") && $0.hasSuffix(".json") }) {
            return "restart this kernel"
        }
        guard
            name.hasPrefix("python") || name.hasPrefix("pypy") || name.hasPrefix("jupyter") || name.hasPrefix("ipython")
        else { return nil }
        return arguments.contains { $0.contains("jupyter") } ? "restart this server" : "restart this program"
    }

    /// The names in a process's environment; nil when they may not be read.
    private func environment(_ pid: Int32) -> Set<String>? {
        guard let bytes = try? LocalFile.read("\(table.proc)/\(pid)/environ", limit: 1 << 20) else { return nil }
        return Set(
            bytes.split(separator: 0).map { String(decoding: $0.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self) })
    }

    /// When the machine was booted, in seconds since 1970 (proc(5): `btime` in stat).
    private func bootTime() -> Double? {
        guard let text = try? LocalFile.readText("\(table.proc)/stat") else { return nil }
        return text.split(separator: "\n").first { $0.hasPrefix("btime ") }.flatMap { Double($0.dropFirst(6)) }
    }
}
