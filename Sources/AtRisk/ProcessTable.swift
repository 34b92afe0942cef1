import Glibc
import LinuxKit
import Storage

/// A process, from /proc (proc(5)).
struct ProcessFacts: Equatable, Sendable {
    let pid: Int32
    let parent: Int32
    let session: Int32
    /// True when it has a controlling terminal.
    let hasTerminal: Bool
    /// When it started, in clock ticks since boot; with ``pid`` its identity.
    let startTicks: UInt64
    /// Minor faults of children that it waited for: grows whenever a child ends.
    let childFaults: UInt64
    /// User and system time in clock ticks.
    let cpuTicks: UInt64

    /// Reads a line of /proc/PID/stat; the name in parentheses may hold anything, also parentheses and newlines.
    init?(stat text: String) {
        guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"),
            let pid = Int32(text[..<open].filter { $0 != " " })
        else { return nil }
        // The first field here is number 3, the state.
        let fields = text[text.index(after: close)...].split(whereSeparator: \.isWhitespace)
        guard fields.count > 19, let parent = Int32(fields[1]), let session = Int32(fields[3]),
            let terminal = Int32(fields[4]), let faults = UInt64(fields[8]), let user = UInt64(fields[11]),
            let system = UInt64(fields[12]), let start = UInt64(fields[19])
        else { return nil }
        self.pid = pid
        self.parent = parent
        self.session = session
        hasTerminal = terminal != 0
        startTicks = start
        childFaults = faults
        cpuTicks = user &+ system
    }
}

/// The processes of this container.
struct ProcessTable: Sendable {
    /// Where /proc is; another directory in tests.
    let proc: String

    init(proc: String = "/proc") { self.proc = proc }

    /// All processes without those of the kernel; who ends meanwhile is left out.
    func all() -> [ProcessFacts] {
        DirectoryNames.read(BytePath(proc)).compactMap { name in
            guard let first = name.first, (0x30...0x39).contains(first) else { return nil }
            let process = facts(String(decoding: name, as: UTF8.self))
            // kthreadd is process 2 of the host, and the parent of all threads of the kernel.
            return process.flatMap { $0.parent == 2 || ($0.pid == 2 && $0.parent == 0) ? nil : $0 }
        }
    }

    private func facts(_ pid: String) -> ProcessFacts? {
        (try? LocalFile.readText("\(proc)/\(pid)/stat", limit: 4096)).flatMap { ProcessFacts(stat: $0) }
    }

    /// Bytes given to write(2) so far; nil when that may not be read.
    func written(_ pid: Int32) -> UInt64? {
        guard let text = try? LocalFile.readText("\(proc)/\(pid)/io", limit: 4096) else { return nil }
        return text.split(separator: "\n").first { $0.hasPrefix("wchar: ") }.flatMap { UInt64($0.dropFirst(7)) }
    }

    /// The program's file; nil when that may not be read.
    func program(_ pid: Int32) -> [UInt8]? { try? LocalFile.linkTarget("\(proc)/\(pid)/exe") }

    /// The arguments; empty when they may not be read.
    func arguments(_ pid: Int32) -> [[UInt8]] {
        let bytes = (try? LocalFile.read("\(proc)/\(pid)/cmdline", limit: 64 << 10)) ?? []
        return bytes.split(separator: 0, omittingEmptySubsequences: false).map(Array.init).dropLast(
            bytes.last == 0 ? 1 : 0)
    }

    /// What a person calls the process: the program, and what it runs when it is an interpreter. Arguments are not shown:
    /// they may hold tokens.
    ///
    /// `python train.py`, `jupyter-lab`, `python -m torch.distributed.run`.
    func command(_ pid: Int32) -> String {
        let arguments = arguments(pid)
        guard let first = arguments.first, !first.isEmpty else {
            let name = (try? LocalFile.readText("\(proc)/\(pid)/comm", limit: 64)) ?? "?"
            return TerminalText.escape(String(name.prefix { $0 != "\n" }))
        }
        let program = BytePath(bytes: first).lastComponent
        let isInterpreter = ["python", "pypy", "bash", "sh", "node", "ruby", "perl", "julia", "Rscript"].contains {
            program.bytes.starts(with: $0.utf8)
        }
        guard isInterpreter, arguments.count > 1 else { return program.description }
        if let flag = arguments.firstIndex(of: Array("-m".utf8)), flag + 1 < arguments.count,
            arguments[1..<flag].allSatisfy({ $0.first == UInt8(ascii: "-") })
        {
            return "\(program) -m \(BytePath(bytes: arguments[flag + 1]))"
        }
        guard arguments[1].first != UInt8(ascii: "-") else { return program.description }
        return "\(program) \(BytePath(bytes: arguments[1]).lastComponent)"
    }
}
