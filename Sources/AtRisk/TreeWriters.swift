import Glibc
import LinuxKit
public import Storage

/// A process that may change files of a tree.
public struct TreeWriter: Sendable, Equatable {
    /// The process.
    public let pid: Int32
    /// What a person calls it, safe for a terminal.
    public let command: String
    /// The file that it has open for writing, or mapped into memory for writing.
    public let path: BytePath

    /// Names a writer.
    public init(pid: Int32, command: String, path: BytePath) {
        self.pid = pid
        self.command = command
        self.path = path
    }
}

/// Finds processes that have something below a directory open for writing. A user who is not root sees only its own.
public struct TreeWriters: Sendable {
    private let processes: ProcessTable

    /// Looks into a proc file system.
    public init(proc: String = "/proc") { processes = ProcessTable(proc: proc) }

    /// The writers below a directory, or of a file; one file of each process.
    ///
    /// - Parameter root: absolute, without symbolic links.
    public func find(below root: BytePath) -> [TreeWriter] {
        processes.all().compactMap { process in
            (opened(process.pid, root) ?? mapped(process.pid, root)).map {
                TreeWriter(pid: process.pid, command: processes.command(process.pid), path: $0)
            }
        }.sorted { $0.pid < $1.pid }
    }

    private func opened(_ pid: Int32, _ root: BytePath) -> BytePath? {
        let directory = "\(processes.proc)/\(pid)"
        for number in DirectoryNames.read(BytePath("\(directory)/fd")) {
            let number = String(decoding: number, as: UTF8.self)
            guard let target = try? LocalFile.linkTarget("\(directory)/fd/\(number)"),
                target.first == UInt8(ascii: "/"),
                BytePath(bytes: target).isWithin(root),
                let info = DescriptorInfo("\(directory)/fdinfo/\(number)"), info.isWritable
            else { continue }
            return BytePath(bytes: target)
        }
        return nil
    }

    /// A file may be mapped long after its descriptor was closed: `START-END rw-s OFFSET DEVICE INODE PATH` (proc(5)).
    private func mapped(_ pid: Int32, _ root: BytePath) -> BytePath? {
        guard let maps = try? LocalFile.read("\(processes.proc)/\(pid)/maps", limit: 64 << 20) else { return nil }
        for line in maps.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5)
            guard fields.count == 6, fields[1].count == 4, fields[1].dropFirst().first == UInt8(ascii: "w"),
                fields[1].last == UInt8(ascii: "s")
            else { continue }
            let path = BytePath(bytes: fields[5].drop { $0 == UInt8(ascii: " ") })
            if path.isWithin(root) { return path }
        }
        return nil
    }
}

/// How a descriptor was opened (proc(5): `flags` in octal, `mnt_id`).
struct DescriptorInfo {
    let isWritable: Bool
    let mountID: UInt64

    init?(_ path: String) {
        guard let text = try? LocalFile.readText(path, limit: 4096) else { return nil }
        func value(_ name: String) -> Substring? {
            text.split(separator: "\n").first { $0.hasPrefix(name) }?.dropFirst(name.count).drop {
                $0 == "\t" || $0 == " "
            }
        }
        guard let flags = value("flags:").flatMap({ Int32($0, radix: 8) }),
            let id = value("mnt_id:").flatMap({ UInt64($0) })
        else { return nil }
        isWritable = flags & O_ACCMODE != O_RDONLY
        mountID = id
    }
}
