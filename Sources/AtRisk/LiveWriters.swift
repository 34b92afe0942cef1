import Glibc
import LinuxKit
public import Storage

/// A process that holds a large file open for writing where it does not survive the pod.
public struct LiveWriter: Sendable, Equatable {
    /// The process.
    public let pid: Int32
    /// What a person calls it, safe for a terminal: `python train.py`.
    public let command: String
    /// The file.
    public let path: BytePath
    /// Bytes allocated when it was looked at.
    public let bytes: UInt64
    /// How long the file lives.
    public let lifetime: Lifetime

    /// `python train.py is writing checkpoint-500 to /root/out`, safe for a terminal.
    public var text: String {
        let components = path.components
        let checkpoint = components.dropLast().lastIndex { $0.starts(with: "checkpoint-".utf8) && $0.count > 11 }
        let index = checkpoint ?? components.index(before: components.endIndex)
        let directory = components[..<index].reduce(BytePath.root) { $0.appending($1) }
        return "\(command) is writing \(BytePath(bytes: components[index])) to \(directory)"
    }
}

/// Finds processes that write where it does not survive the pod.
struct LiveWriters {
    let processes: ProcessTable
    let mounts: MountTable
    let classifier: MountClassifier
    /// Directories and files of the agent itself.
    let own: [BytePath]
    /// Files with fewer bytes allocated are left out.
    var minimumBytes: UInt64 = 1 << 20

    /// The writers, the largest file first. Only files on mounts of this namespace are looked at, and only where the lifetime
    /// says that this kernel answers for them; a file that was deleted is nothing that could be saved.
    func find(excluding own: Int32 = -1) -> [LiveWriter] {
        var result: [LiveWriter] = []
        for process in processes.all() where process.pid != own {
            let directory = "\(processes.proc)/\(process.pid)/fd"
            var seen: Set<BytePath> = []
            for number in DirectoryNames.read(BytePath(directory)) {
                let number = String(decoding: number, as: UTF8.self)
                guard let target = try? LocalFile.linkTarget("\(directory)/\(number)"),
                    target.first == UInt8(ascii: "/"),
                    !target.starts(with: "/memfd:".utf8), !target.suffix(10).elementsEqual(" (deleted)".utf8),
                    let mount = writtenMount("\(processes.proc)/\(process.pid)/fdinfo/\(number)")
                else { continue }
                let path = BytePath(bytes: target)
                // The root mount is walked as the container's own whatever it is.
                let lifetime = mount.id == mounts.root?.id ? .container : classifier.classify(mount).lifetime
                guard lifetime.isLostWithPod, !FilesystemKind.mayHang(mount), seen.insert(path).inserted,
                    !NotTheUsers.covers(path, own: self.own, isChanged: { _ in true }),
                    let status = try? FileStatus("\(directory)/\(number)", mode: .follow), status.kind == .regular,
                    status.allocatedBytes >= minimumBytes
                else { continue }
                result.append(
                    LiveWriter(
                        pid: process.pid, command: processes.command(process.pid), path: path,
                        bytes: status.allocatedBytes, lifetime: lifetime))
            }
        }
        return result.sorted { ($1.bytes, $0.pid, $0.path) < ($0.bytes, $1.pid, $1.path) }
    }

    /// The mount of a descriptor that is open for writing.
    private func writtenMount(_ info: String) -> Mount? {
        guard let info = DescriptorInfo(info), info.isWritable else { return nil }
        return mounts.mounts.first { $0.id == info.mountID }
    }
}
