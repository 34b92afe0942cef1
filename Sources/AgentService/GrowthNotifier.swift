import CLinux
import Catalog
import Environment
import Glibc
import LinuxKit
import Settings
import Storage

/// Tells when something is made in the directories where tools put their data (inotify(7)). Only local directories are
/// watched: adding a watch on a dead mount would hang.
final class GrowthNotifier: Sendable {
    private static let most = 256
    private let descriptor: Int32

    init?() {
        descriptor = inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK))
        if descriptor < 0 { return nil }
    }

    deinit { close(descriptor) }

    /// Adds watches; one that is there already stays.
    func watch(_ directories: [String]) {
        for directory in directories.prefix(Self.most) {
            _ = inotify_add_watch(descriptor, directory, UInt32(IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR))
        }
    }

    /// Waits for something new, at most so long. What happened before counts too.
    func wait(seconds: Double) {
        var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        Glibc.poll(&poll, 1, Int32(seconds * 1000))
        var buffer = [UInt8](repeating: 0, count: 4096)
        while read(descriptor, &buffer, buffer.count) > 0 {}
    }

    /// Where the tools of every user put their data, as far as that is on an ephemeral layer and exists.
    static func directories(_ configuration: AgentConfiguration) -> [String] {
        let identity = PodIdentity(configuration)
        var options = identity.storageOptions(configuration)
        options.scope = .pathsOnly
        options.probe = nil
        guard let storage = try? StorageFacts.gather(options) else { return [] }
        var found: Set<String> = []
        for user in PodFacts.users(passwd: (try? LocalFile.readText("/etc/passwd")) ?? "") {
            let context = ResolutionContext(
                environment: PodFacts.containerEnvironment(), home: user.home, workingDirectory: "/", uid: user.uid,
                files: LocalFiles(uid: user.uid, mayTouch: storage.answersAtOnce))
            for tool in Catalog.tools {
                guard let path = tool.resolve(context), path.hasPrefix("/"), !found.contains(path),
                    let known = try? storage.path(BytePath(path)), known.classification.lifetime.isLostWithPod,
                    known.mount.map(FilesystemKind.mayHang) == false,
                    (try? FileStatus(path))?.kind == .directory
                else { continue }
                found.insert(path)
            }
        }
        return found.sorted()
    }
}
