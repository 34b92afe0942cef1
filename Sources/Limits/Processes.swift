import Glibc
import LinuxKit

/// The processes of this container, as far as their memory and files go (proc(5)).
public struct Processes: Sendable {
    /// A process and its resident memory.
    public struct Resident: Sendable, Equatable {
        /// The process.
        public let pid: Int32
        /// Its name (/proc/PID/comm).
        public let command: String
        /// Resident bytes.
        public let bytes: UInt64
    }

    private let proc: String

    /// Looks into a proc file system.
    public init(proc: String = "/proc") { self.proc = proc }

    /// The process with the most resident memory; nil when none can be read.
    public func largest() -> Resident? {
        let page = UInt64(max(sysconf(Int32(_SC_PAGESIZE)), 1))
        var best: (pid: Int32, pages: UInt64)?
        for pid in pids() {
            // Size, resident, shared, ... in pages.
            let fields = read("\(pid)/statm").split(separator: " ")
            guard fields.count > 1, let pages = UInt64(fields[1]), pages > best?.pages ?? 0 else { continue }
            best = (pid, pages)
        }
        return best.map { Resident(pid: $0.pid, command: command($0.pid), bytes: $0.pages * page) }
    }

    /// The process that uses the largest part of its limit of open files; others' processes cannot be looked at.
    func nearestToOpenFileLimit() -> ContainerLimits.OpenFiles? {
        var best: (pid: Int32, use: ContainerLimits.Use)?
        for pid in pids() {
            guard let used = count("\(proc)/\(pid)/fd"), let limit = openFileLimit(pid) else { continue }
            let use = ContainerLimits.Use(used: UInt64(used), limit: limit)
            if use.percent > best?.use.percent ?? -1 { best = (pid, use) }
        }
        return best.map { .init(pid: $0.pid, command: command($0.pid), use: $0.use) }
    }

    private func openFileLimit(_ pid: Int32) -> UInt64? {
        let line = read("\(pid)/limits").split(separator: "\n").first { $0.hasPrefix("Max open files") }
        return line.flatMap { $0.split(separator: " ").dropFirst(3).first.flatMap { UInt64($0) } }
    }

    private func command(_ pid: Int32) -> String {
        let name = read("\(pid)/comm").prefix { $0 != "\n" }
        return name.isEmpty ? "?" : TerminalText.escape(String(name))
    }

    private func pids() -> [Int32] { names(proc)?.compactMap { Int32($0) }.filter { $0 > 0 } ?? [] }

    private func count(_ directory: String) -> Int? { names(directory)?.count }

    private func read(_ name: String) -> String { (try? LocalFile.readText("\(proc)/\(name)", limit: 64 << 10)) ?? "" }

    private func names(_ directory: String) -> [String]? {
        guard let stream = opendir(directory) else { return nil }
        defer { closedir(stream) }
        var result: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { result.append(name) }
        }
        return result
    }
}
