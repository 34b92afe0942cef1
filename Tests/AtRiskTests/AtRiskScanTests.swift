import Glibc
import LinuxKit
import Storage
import Synchronization
import Testing

@testable import AtRisk

@Suite("at risk, in a real overlay", .enabled(if: mayMount, "needs root, mount namespaces and overlayfs"))
struct AtRiskScanTests {
    private static let image = """
        mkdir -p opt/py/lib/python3.11/site-packages/base etc root opt/app && cd opt/app
        for name in read chmod append rename remove utime link; do echo content > $name; done; cd ../..
        echo code > opt/py/lib/python3.11/site-packages/base/mod.py; echo x > etc/settings; echo '# bash' > root/.bashrc
        """

    /// Agent started, nothing else happened.
    private func startedPod() throws -> PodNamespace {
        let pod = try PodNamespace(image: Self.image)
        try FirstStart.record(
            stateDirectory: pod.stateDirectory, podDirectory: pod.diskRoot.appending("dev/shm").description,
            root: pod.diskRoot)
        return pod
    }

    @Test("a pod in which nobody did anything shows nothing")
    func nothing() throws {
        let pod = try PodNamespace(image: Self.image)
        // What a runtime and an entrypoint leave before the agent starts.
        try pod.sh(
            "touch etc/hosts etc/resolv.conf && mkdir -p mnt/data && echo cache > etc/ld.so.cache && echo x > opt/entrypoint"
        )
        try pod.sh("mkdir -p scratch/init && echo x > scratch/init/config && sleep 0.05")
        try FirstStart.record(
            stateDirectory: pod.stateDirectory, podDirectory: pod.diskRoot.appending("dev/shm").description,
            root: pod.diskRoot)
        // And what happens later without anybody's doing.
        try pod.sh(
            """
            sleep 0.05; mkdir -p opt/py/lib/python3.11/site-packages/base/__pycache__ run/lock var/lib/apt/lists
            echo c > opt/py/lib/python3.11/site-packages/base/__pycache__/mod.cpython-311.pyc; cat opt/app/read > /dev/null
            echo x > run/lock/x; echo x > var/lib/apt/lists/x; echo y > var/lib/packet-agent/spool
            """)
        let findings = try pod.scan()
        #expect(findings.groups == [])
        #expect(findings.isComplete)
        #expect(findings.problems == [])
    }

    @Test("exactly what the user did is found, however it was done")
    func operations() throws {
        let pod = try startedPod()
        try pod.sh(
            """
            sleep 0.05; cd opt/app; chmod 600 chmod; echo more >> append; mv rename renamed; rm remove; touch -d 1999-01-01 utime
            mkdir new; echo a > new/file; cp -a read new/copy; touch -d 1980-01-01 new/copy; ln -s /etc/passwd new/symlink
            echo linked > new/one; ln new/one new/two; mkfifo new/fifo; printf x > "new/two
            lines"; cd ../..
            """)
        let options = try pod.options()
        guard case .since(let since) = options.layer else { Issue.record("\(options.layer)"); return }
        #expect(since <= (options.firstStart.container ?? since))
        let walked = options.walk.entries(below: "/opt", since: options.firstStart.container).entries.map(
            \.path.description)
        #expect(
            walked == [
                "/opt/app/append", "/opt/app/chmod", "/opt/app/new/copy", "/opt/app/new/file", "/opt/app/new/one",
                "/opt/app/new/symlink", "/opt/app/new/two", #"/opt/app/new/two\x0alines"#, "/opt/app/renamed",
                "/opt/app/utime",
            ])
        let findings = AtRiskScan.run(options)
        #expect(findings.groups.map(\.id) == ["other:/opt/app"])
        #expect(findings.groups.first?.files == 9, "one and two are one file")
        #expect(findings.groups.first?.lifetime == .container)
    }

    @Test("a sparse file counts what it occupies, and a hard link counts once")
    func sizes() throws {
        let pod = try startedPod()
        try pod.sh(
            "sleep 0.05; mkdir big; truncate -s 1G big/sparse; head -c 1048576 /dev/zero > big/full; ln big/full big/again"
        )
        let group = try #require(try pod.scan().groups.first)
        #expect(group.path == "/big")
        #expect(group.files == 2)
        #expect(group.bytes >= 1 << 20 && group.bytes < 2 << 20)
    }

    @Test("everything on the layer and in emptyDir on disk counts as ephemeral storage, whoever wrote it")
    func ephemeral() throws {
        let pod = try PodNamespace(image: Self.image)
        try pod.sh("head -c 1000000 /dev/urandom > opt/entrypoint; sleep 0.05")
        try FirstStart.record(
            stateDirectory: pod.stateDirectory, podDirectory: pod.diskRoot.appending("dev/shm").description,
            root: pod.diskRoot)
        let before = try #require(try pod.scan().ephemeralBytes)
        #expect(try pod.scan().groups == [])
        #expect(before >= 1_000_000)
        try pod.sh(
            "sleep 0.05; head -c 2000000 /dev/urandom > opt/mine; ln opt/mine opt/again; echo x > dev/shm/memory")
        let after = try #require(try pod.scan().ephemeralBytes)
        #expect(after - before >= 2_000_000 && after - before < 2_200_000)
        #expect(try pod.scan(paths: ["/opt"]).ephemeralBytes == nil)
    }

    @Test("memory and emptyDir of the pod are at risk too, but not what was there before the pod's first start")
    func podMounts() throws {
        let pod = try PodNamespace(image: Self.image)
        try pod.sh("echo init > scratch/from-init && sleep 0.05")
        try FirstStart.record(
            stateDirectory: pod.stateDirectory, podDirectory: pod.diskRoot.appending("dev/shm").description,
            root: pod.diskRoot)
        try pod.sh("sleep 0.05; echo mine > scratch/mine; echo shared > dev/shm/segment")
        let findings = try pod.scan()
        #expect(findings.groups.map(\.id).sorted() == ["other:/dev", "other:/scratch"])
        #expect(findings.groups.allSatisfy { $0.lifetime == .pod && $0.files == 1 })
        // The container restarts: a new layer and state directory, the same pod.
        try pod.sh("rm -r var/lib/packet-agent && sleep 0.05")
        try FirstStart.record(
            stateDirectory: pod.stateDirectory, podDirectory: pod.diskRoot.appending("dev/shm").description,
            root: pod.diskRoot)
        #expect(try pod.scan().groups.map(\.id).sorted() == ["other:/dev", "other:/scratch"])
    }

    @Test("what setup put there is not at risk until somebody changes it")
    func baseline() throws {
        let pod = try startedPod()
        let start = FirstStart.now()
        try pod.sh("sleep 0.05; mkdir -p opt/tool; echo 1 > opt/tool/a; echo 2 > opt/tool/b; sleep 0.05")
        let count = try Baseline.capture(
            changedBetween: start, and: FirstStart.now(), isAlone: true, stateDirectory: pod.stateDirectory,
            walk: TreeWalk(diskRoot: pod.diskRoot))
        #expect(count >= 2)
        #expect(try pod.scan().groups == [])
        try pod.sh("sleep 0.05; echo mine >> opt/tool/b")
        #expect(try pod.scan().groups.map(\.files) == [1])
    }

    @Test("when somebody else was there while setup ran, only what package tools install is setup's")
    func baselineWithOthers() throws {
        let pod = try startedPod()
        let start = FirstStart.now()
        try pod.sh(
            """
            sleep 0.05; S=opt/py/lib/python3.11/site-packages; mkdir -p $S/demo-1.dist-info root/work; echo x > $S/demo-1.dist-info/METADATA
            echo mine > root/work/notes.ipynb; echo mine > root/work/train.py; sleep 0.05
            """)
        let count = try Baseline.capture(
            changedBetween: start, and: FirstStart.now(), isAlone: false, stateDirectory: pod.stateDirectory,
            walk: TreeWalk(diskRoot: pod.diskRoot))
        #expect(count == 1)
        #expect(try pod.scan().groups.map(\.id).sorted() == ["notebook:/root/work", "other:/root/work"])
    }

    @Test("a package that setup installed counts like the image's")
    func baselinePackages() throws {
        let pod = try startedPod()
        let start = FirstStart.now()
        let site = "opt/py/lib/python3.11/site-packages"
        try pod.sh(
            "sleep 0.05; mkdir -p \(site)/demo-1.0.dist-info; echo x > \(site)/demo-1.0.dist-info/METADATA; sleep 0.05")
        try Baseline.capture(
            changedBetween: start, and: FirstStart.now(), isAlone: true, stateDirectory: pod.stateDirectory,
            walk: TreeWalk(diskRoot: pod.diskRoot))
        #expect(try pod.scan().groups == [])
        try pod.sh(
            "sleep 0.05; mv \(site)/demo-1.0.dist-info \(site)/demo-2.0.dist-info; echo y > \(site)/demo-2.0.dist-info/METADATA"
        )
        #expect(try pod.scan().groups.map(\.title) == ["1 pip package: demo 1.0 to 2.0"])
    }

    @Test("groups are named for what they are, and every safe fix really saves its group")
    func groups() throws {
        let pod = try startedPod()
        try pod.sh(
            """
            sleep 0.05; S=opt/py/lib/python3.11/site-packages; H=root/.cache/huggingface/hub/models--acme--tiny-model
            mkdir -p $S/demo $S/demo-1.2.dist-info $S/__pycache__ $H/blobs $H/snapshots/abc root/.ssh root/work/run/checkpoint-100 \
                root/.cache/pip root/repo/.git root/env/bin "root/it's mine"
            echo x > $S/demo/__init__.py; echo x > $S/demo-1.2.dist-info/METADATA; mkdir -p opt/py/bin; echo x > opt/py/bin/demo
            printf '%s\\n' 'demo/__init__.py,,' '../../../bin/demo,,' > $S/demo-1.2.dist-info/RECORD
            head -c 3000000 /dev/zero > $H/blobs/aaaa; ln -s ../../blobs/aaaa $H/snapshots/abc/model.safetensors
            echo k > root/.ssh/id_ed25519; echo w > root/work/run/checkpoint-100/weights.bin; echo d > root/.cache/pip/x
            echo ref > root/repo/.git/HEAD; echo c > root/repo/main.py; echo n > root/notes.ipynb; echo more >> root/.bashrc
            echo home > root/env/pyvenv.cfg; echo e > root/env/bin/activate; echo o > "root/it's mine/file"; echo x > etc/settings
            """)
        let findings = try pod.scan(volume: "/mnt/vol")
        let found = Dictionary(uniqueKeysWithValues: findings.groups.map { ($0.id, $0) })
        #expect(
            found.mapValues(\.title) == [
                "hf-hub:/root/.cache/huggingface/hub/models--acme--tiny-model": "acme/tiny-model",
                "pip-packages:/opt/py/lib/python3.11/site-packages": "1 pip package: demo 1.2",
                "secret:/root/.ssh": "SSH keys", "checkpoint:/root/work/run": "checkpoints in /root/work/run",
                "pip-cache:/root/.cache/pip": "pip cache", "code:/root/repo": "git repository repo",
                "notebook:/root": "notebooks in /root", "dotfile:/root": "settings in /root",
                "venv:/root/env": "virtual environment env", "other:/root/it's mine": "files in /root/it's mine",
                "other:/etc": "files in /etc",
            ])
        #expect(findings.groups.first?.kind == .hubRepository, "the largest comes first")
        #expect(found["pip-packages:/opt/py/lib/python3.11/site-packages"]?.files == 4, "with the program in bin")
        #expect(found["secret:/root/.ssh"]?.fix == nil)
        #expect(
            found["pip-packages:/opt/py/lib/python3.11/site-packages"]?.fix?.command
                == "python3 -m pip install --target /mnt/vol/pip-packages demo==1.2")
        #expect(
            findings.groups.compactMap { $0.fix?.command }.filter { $0.hasPrefix("packet-agent") }.sorted() == [
                "packet-agent move 'other:/root/it'\\''s mine' --copy", "packet-agent move checkpoint:/root/work/run",
                "packet-agent move code:/root/repo", "packet-agent move dotfile:/root --copy",
                "packet-agent move hf-hub:/root/.cache/huggingface/hub/models--acme--tiny-model",
                "packet-agent move notebook:/root", "packet-agent move other:/etc --copy",
            ])
    }

    @Test("the files of a group are named when they are asked for, without the keys beside them and the groups below")
    func manyFiles() throws {
        let pod = try startedPod()
        try pod.sh(
            """
            sleep 0.05; mkdir -p root/.ssh root/.config/app root/sub; echo k > root/.ssh/id; echo k > root/.netrc; echo c > root/.config/app/x
            for i in $(seq 40); do echo $i > root/file$i; echo $i > root/sub/file$i; echo $i > root/.dot$i; done; ln root/file1 root/linked
            """)
        #expect(try pod.scan().groups.allSatisfy { $0.paths.isEmpty })
        var options = try pod.options()
        options.listsFiles = true
        let groups = AtRiskScan.run(options).groups.filter { $0.kind != .secret }
        #expect(groups.map(\.files).sorted() == [40, 40, 41])
        let shallow = try #require(groups.first { $0.id == "other:/root" })
        #expect(shallow.isShallow && shallow.files == 40 && shallow.paths.count == 41, "both names of a file")
        #expect(groups.first { $0.kind == .dotfile }?.paths.contains("/root/.config/app/x") == true)
    }

    @Test("packages of the distribution are one group, with their files")
    func distribution() throws {
        let pod = try startedPod()
        try pod.sh(
            """
            sleep 0.05; mkdir -p var/lib/dpkg/info opt/jq; echo x > opt/jq/jq; echo x > var/lib/dpkg/status
            printf '/.\\n/opt\\n/opt/jq\\n/opt/jq/jq\\n' > var/lib/dpkg/info/jq:amd64.list
            """)
        let groups = try pod.scan(volume: "/mnt/vol").groups
        #expect(groups.map(\.title) == ["1 package of the distribution: jq"])
        #expect(
            groups.first?.fix
                == AtRiskFix(
                    command: "echo 'apt-get update && apt-get install -y jq' >> /mnt/vol/setup.sh", safe: false))
    }

    @Test("only the paths that were asked for are looked at")
    func paths() throws {
        let pod = try startedPod()
        try pod.sh("sleep 0.05; echo a > opt/a; echo b > etc/b; echo c > scratch/c")
        #expect(try pod.scan(paths: ["/etc"]).groups.map(\.id) == ["other:/etc"])
        #expect(try pod.scan(paths: ["/opt/a"]).groups.map(\.files) == [1])
        #expect(try pod.scan(paths: ["/scratch/c"]).groups.map(\.id) == ["other:/scratch"])
    }

    @Test("a walk that is stopped in the middle gives what it found, and says how far it was")
    func stopped() throws {
        let pod = try startedPod()
        try pod.sh("sleep 0.05; for i in $(seq 300); do mkdir opt/d$i; echo x > opt/d$i/f; done")
        let seen = Mutex(0)
        var options = try pod.options(paths: ["/opt"])
        options.walk = TreeWalk(
            diskRoot: pod.diskRoot, isCancelled: { seen.withLock { $0 > 100 } },
            progress: { count in seen.withLock { $0 += count } })
        let findings = AtRiskScan.run(options)
        #expect(findings.isPartial && !findings.isComplete)
        let files = findings.groups.reduce(0) { $0 + $1.files }
        #expect(files > 80 && files < 300)
    }

    @Test("a directory that cannot be read, a deadline and a cancellation make the answer incomplete")
    func incomplete() throws {
        let pod = try startedPod()
        var options = try pod.options()
        options.walk = TreeWalk(diskRoot: pod.diskRoot, deadline: .now)
        #expect(!AtRiskScan.run(options).isComplete)
        #expect(!AtRiskScan.run(options).isPartial)
        options.walk = TreeWalk(diskRoot: pod.diskRoot, isCancelled: { true })
        #expect(!AtRiskScan.run(options).isComplete)
        #expect(AtRiskReport(AtRiskScan.run(options)).partial == true)
        #expect(AtRiskReport(try pod.scan()).partial == nil)
        options.walk = TreeWalk(diskRoot: pod.diskRoot, limit: 0)
        try pod.sh("sleep 0.05; echo a > opt/a")
        #expect(!AtRiskScan.run(options).isComplete)
        options.layer = .cannotTell("no overlay")
        options.firstStart = FirstStart(container: nil, pod: nil)
        #expect(AtRiskScan.run(options).problems.contains("no overlay: what was written to it cannot be told"))
    }
}
