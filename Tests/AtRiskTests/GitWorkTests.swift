import Glibc
import LinuxKit
import Storage
import Testing

@testable import AtRisk

/// A directory of this machine that a test fills with a script; it goes with this value.
final class ScratchTree {
    let path: BytePath

    init(_ script: String) throws {
        var template = Array("/var/tmp/packet-agent-tree.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw LinuxError("create", "/var/tmp", code: errno) }
        path = BytePath(bytes: template.dropLast().map { UInt8(bitPattern: $0) })
        let captured = try run("set -e; cd \(path); \(script)")
        #expect(captured.termination == .exited(0), "\(String(decoding: captured.output, as: UTF8.self))")
    }

    deinit { _ = try? run("rm -rf \(path)") }

    @discardableResult
    func run(_ script: String, milliseconds: Int = 120_000) throws -> ChildProcess.Captured {
        try ChildProcess.capture(
            .init(
                executable: "/bin/bash", arguments: ["-c", "exec 2>&1; \(script)"],
                environment: ["PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": path.description]),
            milliseconds: milliseconds)
    }

    /// Scans this directory alone; everything in it is new.
    func scan(volume: BytePath? = nil, walk: TreeWalk = TreeWalk()) throws -> AtRiskScan.Findings {
        let table = MountTable(MountInfo(parsing: try LocalFile.read("/proc/self/mountinfo")).mounts)
        let epoch = FileStatus.Time(seconds: 0, nanoseconds: 0)
        var options = AtRiskScan.Options(
            table: table, classifier: MountClassifier(table), layer: .cannotTell("a test"),
            firstStart: FirstStart(container: epoch, pod: epoch), known: KnownLocation.defaults(homes: [path]),
            homes: [path], volume: volume, paths: [path], walk: walk)
        options.gitMilliseconds = 60_000
        return AtRiskScan.run(options)
    }
}

@Suite("git repositories")
struct GitWorkTests {
    @Test("they say what exists nowhere else, and only then are called unpushed")
    func states() throws {
        let git = "git -c user.name=a -c user.email=a@b -c init.defaultBranch=main"
        let tree = try ScratchTree(
            """
            \(git) init -q --bare origin.git; \(git) clone -q origin.git clone 2>/dev/null
            (cd clone; echo a > a; git add a; \(git) commit -q -m a; git push -q origin main)
            cp -a clone commit; (cd commit; echo b > b; git add b; \(git) commit -q -m b; echo c > c)
            cp -a clone stash; (cd stash; echo b > a; \(git) stash -q)
            mkdir fresh; (cd fresh; \(git) init -q; echo x > x)
            cp -a clone trap; printf '[core]\\n\\tfsmonitor = touch ../sprung; false\\n' >> trap/.git/config
            mkdir -p broken/.git; echo x > broken/x
            [ $(id -u) != 0 ] || { cp -a clone other; chown -R 1000:1000 other; chmod 755 .; }
            """)
        let groups = try tree.scan(volume: "/mnt/vol").groups.filter { [.code, .unpushedCommits].contains($0.kind) }
        var expected = [
            "clone": "git repository clone: all pushed", "trap": "git repository trap: all pushed",
            "commit": "git repository commit: 1 commit not pushed, 1 file not committed",
            "stash": "git repository stash: 1 stash", "fresh": "git repository fresh: 1 file not committed",
            "broken": "git repository broken",
        ]
        if geteuid() == 0 { expected["other"] = "git repository other: all pushed" }
        #expect(
            Dictionary(uniqueKeysWithValues: groups.map { ($0.path.lastComponent.description, $0.title) }) == expected)
        #expect(
            groups.filter { $0.kind == .unpushedCommits }.map(\.path.lastComponent).sorted() == [
                "commit", "fresh", "stash",
            ])
        #expect(groups.first { $0.kind == .unpushedCommits }?.fix?.safe == true)
        #expect(!DirectoryNames.read(tree.path).contains(Array("sprung".utf8)))
    }

    @Test("git that takes too long is not waited for")
    func slow() throws {
        let tree = try ScratchTree("git init -q repository")
        #expect(GitWork.of(tree.path.appending("repository"), milliseconds: 10_000) == GitWork())
        #expect(GitWork.of(tree.path.appending("repository"), milliseconds: 0) == nil)
        #expect(GitWork.of(tree.path.appending("missing"), milliseconds: 10_000) == nil)
    }
}
