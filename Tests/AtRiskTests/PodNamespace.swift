import AtRisk
import Glibc
import LinuxKit
import Storage
import Testing

/// True when this process may make mount namespaces and overlays: tests with a real writable layer need it.
let mayMount: Bool = {
    guard geteuid() == 0 else { return false }
    let probe = """
        mount -t tmpfs t /mnt && mkdir /mnt/l /mnt/u /mnt/w /mnt/m && \
        mount -t overlay o -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w /mnt/m
        """
    let captured = try? ChildProcess.capture(
        .init(
            executable: "/usr/bin/unshare", arguments: ["-m", "/bin/sh", "-c", probe],
            environment: ["PATH": PodNamespace.path]),
        milliseconds: 30_000)
    return captured?.termination == .exited(0)
}()

/// A mount namespace with a real overlay in it, and a shell to act there. Everything goes with its process.
final class PodNamespace {
    static let path = "/usr/sbin:/usr/bin:/sbin:/bin"
    private let shell: ChildProcess
    private let input: Int32
    private let output: Int32
    private let scratch: String
    /// The overlay, seen from this process.
    let diskRoot: BytePath

    /// Makes the image (the lower layer) by a script that runs in its root directory, then the overlay.
    init(image: String) throws {
        var template = Array("/tmp/packet-agent-pod.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw LinuxError("create", "/tmp", code: errno) }
        scratch = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var (toShell, fromShell): ([Int32], [Int32]) = ([0, 0], [0, 0])
        guard pipe(&toShell) == 0, pipe(&fromShell) == 0 else { throw LinuxError("pipe", "", code: errno) }
        // Other tests start children at the same time: an inherited end would keep the pipe open.
        for end in toShell + fromShell { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        shell = try ChildProcess.spawn(
            .init(
                executable: "/usr/bin/unshare", arguments: ["-m", "/bin/sh"],
                environment: ["PATH": Self.path, "HOME": "/root"],
                descriptors: (toShell[0], fromShell[1], fromShell[1])))
        close(toShell[0])
        close(fromShell[1])
        (input, output) = (toShell[1], fromShell[0])
        diskRoot = BytePath("/proc/\(shell.pid)/root\(scratch)/merged")
        try sh("mount -t tmpfs pod \(scratch) && cd \(scratch) && mkdir lower work merged && cd lower")
        try sh(
            "mkdir -p usr etc root dev/shm scratch mnt/vol var/lib proc tmp && ln -s usr/bin usr/lib usr/lib64 usr/sbin ."
        )
        try sh(image)
        // The layer is born after the image was unpacked, as a snapshotter does it.
        try sh("sleep 0.05; cd \(scratch) && mkdir upper && sleep 0.05")
        try sh("mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged && cd merged")
        try sh(
            "mount --rbind /usr usr && mount -t tmpfs shm dev/shm && mount -t tmpfs scratch scratch && mount -t tmpfs vol mnt/vol"
        )
    }

    deinit {
        shell.signalGroup(SIGKILL)
        _ = shell.wait(milliseconds: 5000)
        close(input)
        close(output)
        rmdir(scratch)
    }

    /// Runs commands in the overlay's directory and gives what they printed.
    @discardableResult
    func sh(_ commands: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        let text = Array("{ \(commands)\n}; echo \"=status $?\"\n".utf8)
        guard write(input, text, text.count) == text.count else { throw LinuxError("write", "shell", code: errno) }
        var answer = ""
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !answer.hasSuffix("\n") || !answer.contains("=status ") {
            var wait = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            try #require(
                poll(&wait, 1, 60_000) == 1, "the shell does not answer to: \(commands)", sourceLocation: sourceLocation
            )
            let count = read(output, &buffer, buffer.count)
            try #require(count > 0, "the shell ended: \(answer)", sourceLocation: sourceLocation)
            answer += String(decoding: buffer[0..<count], as: UTF8.self)
        }
        #expect(answer.hasSuffix("=status 0\n"), "\(commands)\n\(answer)", sourceLocation: sourceLocation)
        return answer
    }

    /// Where the overlay is in its own mount namespace.
    var base: BytePath { BytePath("\(scratch)/merged") }

    /// The pod's mounts as the pod would see them after a chroot to the overlay.
    func table() throws -> MountTable {
        let info = MountInfo(parsing: try LocalFile.read("/proc/\(shell.pid)/mountinfo"))
        return MountTable(
            info.mounts.filter { $0.mountPoint.isWithin(base) }.map { mount in
                let rest = mount.mountPoint.bytes.dropFirst(base.bytes.count)
                return Mount(
                    id: mount.id, parent: mount.parent, device: mount.device, root: mount.root,
                    mountPoint: rest.isEmpty ? .root : BytePath(bytes: rest), options: mount.options, tags: mount.tags,
                    filesystem: mount.filesystem, source: mount.source, superOptions: mount.superOptions)
            })
    }

    var stateDirectory: String { diskRoot.appending("var/lib/packet-agent").description }

    func options(paths: [BytePath] = [], volume: BytePath? = nil) throws -> AtRiskScan.Options {
        let (table, disk) = (try table(), diskRoot.description)
        let layer = WritableLayer(table) { try? FileStatus(disk + $0, mode: .follow) }
        let firstStart = FirstStart.load(
            stateDirectory: stateDirectory, podDirectory: disk + "/dev/shm", rootMount: table.root?.id)
        var options = AtRiskScan.Options(
            table: table, classifier: MountClassifier(table), layer: layer, firstStart: firstStart,
            baseline: Baseline.load(stateDirectory: stateDirectory), known: KnownLocation.defaults(homes: ["/root"]),
            volume: volume, paths: paths, walk: TreeWalk(diskRoot: diskRoot))
        options.loadImage(stateDirectory: stateDirectory)
        return options
    }

    func scan(paths: [BytePath] = [], volume: BytePath? = nil) throws -> AtRiskScan.Findings {
        AtRiskScan.run(try options(paths: paths, volume: volume))
    }
}
