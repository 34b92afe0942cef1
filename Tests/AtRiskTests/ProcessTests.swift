import Glibc
import LinuxKit
import Storage
import Testing

@testable import AtRisk

@Suite("processes")
struct ProcessTests {
    @Test(
        "who writes a large file where it does not survive is named with process, command and file",
        .enabled(if: mayMount, "needs root and overlayfs"))
    func writers() throws {
        let pod = try PodNamespace(image: "mkdir -p root/out/checkpoint-500 data")
        // 2 MiB each: to the layer, to memory, a small one, one that is only read, one that is deleted.
        try pod.sh(
            #"""
            cat > root/train.py <<'END'
            import os, sys, time
            def fill(path, size=2 << 20):
                file = open(path, "wb"); file.write(b"x" * size); file.flush(); return file
            held = [fill("root/out/checkpoint-500/model.bin"), fill("root/out/\x1b[31mlog"), fill("scratch/safe"), fill("root/small", 4096), fill("root/gone")]
            os.remove("root/gone")
            fill("root/read").close(); held.append(open("root/read", "rb"))
            print("ready", flush=True)
            time.sleep(600)
            END
            python3 root/train.py --token=secret > root/ready & sleep 0; until grep -q ready root/ready; do sleep 0.05; done
            """#)
        let table = try pod.table()
        let base = pod.base
        var found = LiveWriters(
            processes: ProcessTable(), mounts: table, classifier: MountClassifier(table), own: []
        ).find()
        #expect(found.count == 3)
        #expect(Set(found.map(\.command)) == ["python3 train.py"])
        #expect(found.allSatisfy { $0.bytes >= 2 << 20 && $0.pid > 1 })
        #expect(found.filter { $0.lifetime == .pod }.map(\.path.lastComponent) == ["safe"])
        #expect(
            Set(found.map(\.text)) == [
                "python3 train.py is writing checkpoint-500 to \(base)/root/out",
                #"python3 train.py is writing \x1b[31mlog to \#(base)/root/out"#,
                "python3 train.py is writing safe to \(base)/scratch",
            ])
        // Not this pod's mounts: nothing.
        found = LiveWriters(
            processes: ProcessTable(), mounts: MountTable([]), classifier: MountClassifier(MountTable([])), own: []
        ).find()
        #expect(found == [])
    }

    @Test("who relies on a volume is found by variables, working directory and open files")
    func volumeUsers() throws {
        let tree = try ScratchTree("mkdir -p vol/data volume; echo x > vol/file")
        let volume = tree.path.appending("vol")
        func start(_ environment: [String: String], in directory: String = "/", reading: Int32? = nil) throws
            -> ChildProcess
        {
            try ChildProcess.spawn(
                .init(
                    executable: "/bin/sleep", arguments: ["600"], environment: environment, workingDirectory: directory,
                    descriptors: (reading, nil, nil)))
        }
        let file = try Descriptor(opening: volume.appending("file").description, O_RDONLY)
        let children = [
            try start(["HF_HOME": "\(volume)/hf", "PYTHONPATH": "/x:\(volume)", "PWD": "\(volume)"]),
            try start([:], in: volume.appending("data").description), try start([:], reading: file.number),
            try start(["HF_HOME": "\(tree.path)/volume", "PWD": "\(volume)"]),
        ]
        defer {
            for child in children {
                child.signalGroup(SIGKILL)
                _ = child.wait(milliseconds: 5000)
            }
        }
        let found = VolumeUsers(of: volume).find()
        // Children that other tests start at this moment may hold the file too, until they run their program.
        #expect(Set(found.map(\.pid)).isSuperset(of: children.prefix(3).map(\.pid)))
        #expect(!found.contains { $0.pid == children[3].pid })
        let byVariable = found.first { $0.pid == children[0].pid }
        #expect(byVariable?.variables == ["HF_HOME", "PYTHONPATH"] && byVariable?.holdsFiles == false)
        #expect(byVariable?.command == "sleep")
    }

    @Test("processes that started before the environment was set are told what to do; those that have it are not")
    func stale() throws {
        let tree = try ScratchTree("ln -s /bin/sleep python3; ln -s /bin/sleep jupyter-lab; ln -s /bin/sleep other")
        func start(_ name: String, _ environment: [String: String]) throws -> ChildProcess {
            try ChildProcess.spawn(
                .init(
                    executable: tree.path.appending(name).description, arguments: ["600"], environment: environment))
        }
        let old = try start("python3", ["PATH": "/bin"])
        let chosen = try start("python3", ["PATA": "/bin", "HF_HOME": "/mine", "PIP_CACHE_DIR": ""])
        let half = try start("jupyter-lab", ["HF_HOME": "/x"])
        let other = try start("other", [:])
        defer {
            for child in [old, chosen, half, other] {
                child.signalGroup(SIGKILL)
                _ = child.wait(milliseconds: 5000)
            }
        }
        func find(_ since: FileStatus.Time) -> [StaleProcess] {
            StaleProcesses(variables: ["PIP_CACHE_DIR", "HF_HOME"], since: since).find().filter { process in
                [old, chosen, half, other].contains { $0.pid == process.pid }
            }
        }
        let now = FirstStart.now()
        // Start times are in ticks since a whole second: leave two seconds.
        let found = find(.init(seconds: now.seconds + 2, nanoseconds: 0))
        #expect(
            found == [
                StaleProcess(
                    pid: old.pid, command: "python3 600", missing: ["HF_HOME", "PIP_CACHE_DIR"],
                    advice: "restart this program"),
                StaleProcess(
                    pid: half.pid, command: "jupyter-lab", missing: ["PIP_CACHE_DIR"], advice: "restart this server"),
            ])
        #expect(find(.init(seconds: now.seconds - 60, nanoseconds: 0)) == [])
    }

    @Test(
        "a command is named by its program and what it runs, without arguments and safe for a terminal",
        arguments: [
            (["/usr/bin/python3", "/x/train.py", "--token=secret"], "python3 train.py"),
            (["python", "-u", "-m", "torch.distributed.run", "x.py"], "python -m torch.distributed.run"),
            (["python", "-c", "print('secret')"], "python"), (["/opt/tool", "secret"], "tool"),
            (["bash", "/run.sh"], "bash run.sh"), (["python", "a\u{1b}]0;x\u{7}.py"], #"python a\x1b]0;x\x07.py"#),
            ([], "comm"),
        ])
    func command(arguments: [String], expected: String) throws {
        let tree = try ScratchTree("mkdir 7; echo comm > 7/comm")
        let path = tree.path.appending("7/cmdline").description
        try AtomicFile.write(arguments.flatMap { Array($0.utf8) + [0] }, to: path)
        #expect(ProcessTable(proc: tree.path.description).command(7) == expected)
    }

    @Test("a line of stat is read whatever the program's name")
    func stat() throws {
        let tail = "S 5 7 9 34816 7 4194304 100 222 0 0 3 4 5 6 20 0 1 0 987654 10 10"
        let facts = try #require(ProcessFacts(stat: "42 (a) b (c\n) \(tail)"))
        #expect(facts.pid == 42 && facts.parent == 5 && facts.session == 9 && facts.hasTerminal)
        #expect(facts.childFaults == 222 && facts.cpuTicks == 7 && facts.startTicks == 987_654)
        #expect(ProcessFacts(stat: "42 (a) S 1") == nil)
        #expect(ProcessFacts(stat: "") == nil)
    }
}
