import LinuxKit
public import Storage

/// A process that relies on a volume.
public struct VolumeUser: Sendable, Equatable {
    /// The process.
    public let pid: Int32
    /// What a person calls it, safe for a terminal.
    public let command: String
    /// Names of its variables that point to the volume, sorted.
    public let variables: [String]
    /// Whether its working directory or an open file lies on the volume.
    public let holdsFiles: Bool

    /// Describes a process.
    public init(pid: Int32, command: String, variables: [String], holdsFiles: Bool) {
        self.pid = pid
        self.command = command
        self.variables = variables
        self.holdsFiles = holdsFiles
    }
}

/// Finds the processes that rely on a volume, for one that is gone or does not answer.
///
/// Only /proc is read: where its links lead is not looked at. The environment is that of the program's start (proc(5)).
public struct VolumeUsers: Sendable {
    private let table: ProcessTable
    private let mountPoint: BytePath

    /// - Parameters:
    ///   - mountPoint: where the volume is or was mounted.
    ///   - proc: where /proc is.
    public init(of mountPoint: BytePath, proc: String = "/proc") {
        table = ProcessTable(proc: proc)
        self.mountPoint = mountPoint
    }

    /// The processes, by number.
    ///
    /// - Parameter excluding: left out, such as the process that asks.
    public func find(excluding: Int32? = nil) -> [VolumeUser] {
        table.all().compactMap { process in
            guard process.pid != excluding else { return nil }
            let variables = variables(process.pid)
            let holdsFiles = holdsFiles(process.pid)
            guard holdsFiles || !variables.isEmpty else { return nil }
            return VolumeUser(
                pid: process.pid, command: table.command(process.pid), variables: variables, holdsFiles: holdsFiles)
        }.sorted { $0.pid < $1.pid }
    }

    private func variables(_ pid: Int32) -> [String] {
        let entries = (try? LocalFile.read("\(table.proc)/\(pid)/environ", limit: 1 << 20)) ?? []
        return entries.split(separator: 0).compactMap { entry -> String? in
            guard let equals = entry.firstIndex(of: UInt8(ascii: "=")) else { return nil }
            let name = String(decoding: entry[..<equals], as: UTF8.self)
            // Where a shell is or was says nothing about what it does.
            guard !["PWD", "OLDPWD"].contains(name) else { return nil }
            let paths = entry[(equals + 1)...].split(separator: UInt8(ascii: ":"))
            return paths.contains { isInside($0) } ? name : nil
        }.sorted()
    }

    private func holdsFiles(_ pid: Int32) -> Bool {
        let directory = "\(table.proc)/\(pid)"
        let links =
            ["cwd"]
            + DirectoryNames.read(BytePath(directory + "/fd")).map { "fd/\(String(decoding: $0, as: UTF8.self))" }
        return links.contains { link in (try? LocalFile.linkTarget("\(directory)/\(link)")).map(isInside) == true }
    }

    private func isInside(_ path: some Sequence<UInt8>) -> Bool { BytePath(bytes: path).isWithin(mountPoint) }
}
