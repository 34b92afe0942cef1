import AtRisk
import Glibc
import LinuxKit
import Storage
import Synchronization
import Testing

@testable import Transfer

@Suite("a move that goes wrong loses nothing")
struct SafetyTests {
    private static let tree = """
        mkdir -p sub/deep; echo one > a; ln a sub/name; ln -s ../a sub/link; head -c 3000000 /dev/urandom > big
        truncate -s 1M sub/deep/sparse; echo two > sub/deep/b; setfattr -n user.k -v v sub/deep/b
        find . -exec touch -h -d '2001-02-03 04:05:06.123456789' {} +
        """

    @Test("killed at every step, it is finished by the next run, and at every moment the data is at its place")
    func killed() throws {
        let scratch = try Scratch(Self.tree)
        try #require(!transferProgram.isEmpty)
        try scratch.sh("cp -a pod/proj reference")
        let before = try scratch.contents(scratch.path.appending("reference"))
        let command = "\(transferProgram) \(scratch.source) \(scratch.volume) \(scratch.destination)"
        let summary = try scratch.sh(command)
        let steps = try #require(summary.split(separator: " ").dropLast().last.flatMap { Int($0) }, "\(summary)")
        #expect(steps > 30)
        for step in 1...steps {
            try scratch.sh("rm -rf pod volume; mkdir -p pod volume; cp -a reference pod/proj")
            try scratch.sh("\(command) kill=\(step) > /dev/null 2>&1", status: 137)
            #expect(try scratch.contents(scratch.source) == before, "killed at step \(step)")
            // In production the resumed copy is of files that are older than it.
            let second = try scratch.sh(command)
            #expect(try scratch.contents(scratch.destination) == before, "after step \(step): \(second)")
            #expect(try scratch.sh("readlink pod/proj") == "\(scratch.destination)\n", "after step \(step)")
            #expect(try scratch.leftovers() == "", "after step \(step)")
        }
    }

    @Test("an interrupted copy goes on where it stopped")
    func resumed() throws {
        let scratch = try Scratch("for i in $(seq 40); do echo $i > file$i; done; sleep 1.1")
        let written = Mutex<[BytePath]>([])
        let first = scratch.move { options in
            options.threads = 1
            options.step = { step, path in if step == .writeFile { written.withLock { $0.append(path) } } }
            options.isCancelled = { written.withLock { $0.count } >= 20 }
        }
        #expect(scratch.failure(first)?.code == .cancelled)
        #expect(try scratch.sh("ls pod/proj | wc -l") == "40\n")
        let half = written.withLock { $0.count }
        _ = try scratch.move { options in
            options.step = { step, path in if step == .writeFile { written.withLock { $0.append(path) } } }
        }.run()
        #expect(half == 20 && written.withLock { $0.count } == 41, "the file that was begun is copied again")
        #expect(try scratch.sh("cat volume/code/proj/* | sort -n | tail -1") == "40\n")
    }

    @Test("a large file that was being copied goes on at the block where it was killed, and what was spoilt is found")
    func resumedInside() throws {
        let scratch = try Scratch(
            "head -c 100000001 /dev/urandom > model; setfattr -n user.k -v v model; sha256sum model > ../sum")
        try #require(!transferProgram.isEmpty)
        // Some of the 24 blocks are written, the others not.
        let command = "\(transferProgram) \(scratch.source) \(scratch.volume) \(scratch.destination)"
        try scratch.sh("\(command) kill=20 > /dev/null 2>&1", status: 137)
        let staged = scratch.path.appending("volume/code/.proj.packet-move/tree/proj/model").description
        #expect(try scratch.sh("stat -c %s \(staged)") == "100000001\n")
        // Whatever happened to the volume meanwhile.
        try scratch.sh("printf spoilt | dd of=\(staged) bs=1 seek=1000000 conv=notrunc status=none")
        let written = Mutex(0)
        let result = try scratch.move {
            $0.step = { step, _ in if step == .writeBlock { written.withLock { $0 += 1 } } }
        }.run()
        #expect(result.files == 1 && result.bytes == 100_000_001)
        #expect(written.withLock { $0 } > 4 && written.withLock { $0 } < 20, "\(written.withLock { $0 }) of 24 blocks")
        #expect(
            try scratch.sh("cd volume/code/proj; sha256sum -c ../../../pod/sum; getfattr --only-values -n user.k model")
                == "model: OK\nv")
        #expect(try scratch.leftovers() == "")
    }

    @Test("an unfinished copy is not written to where another name shares it, nor when the source became shorter")
    func resumedElsewhere() throws {
        let scratch = try Scratch("head -c 9000000 /dev/urandom > a; ln a b; sleep 1.1")
        let stop = Mutex(false)
        let first = scratch.move {
            $0.largeFile = 1 << 20
            $0.step = { step, _ in if step == .finishDirectory { stop.withLock { $0 = true } } }
            $0.isCancelled = { stop.withLock { $0 } }
        }
        #expect(scratch.failure(first)?.code == .cancelled)
        // Both were finished as one file; now they are two, and one is shorter.
        try scratch.sh("cd pod/proj; cp -p b c; mv c b; head -c 5000000 /dev/urandom > a; cp -a . ../reference")
        let before = try scratch.contents(scratch.source)
        _ = try scratch.move { $0.largeFile = 1 << 20 }.run()
        #expect(try scratch.contents(scratch.destination) == before)
    }

    @Test("what disappears from the source or changes there between two runs is not taken from the first")
    func resumedAfterChange() throws {
        let scratch = try Scratch("mkdir gone; echo x > gone/y; echo old > kept; echo f > becomes; sleep 1.1")
        let first = scratch.move {
            $0.step = { step, _ in if step == .finishDirectory { exitThread.withLock { $0 = true } } };
            $0.isCancelled = { exitThread.withLock { $0 } }
        }
        #expect(scratch.failure(first)?.code == .cancelled)
        exitThread.withLock { $0 = false }
        try scratch.sh(
            "cd pod/proj; rm -r gone becomes; mkdir becomes; touch -r kept ../stamp; echo new > kept; touch -r ../stamp kept; rm ../stamp"
        )
        _ = try scratch.move().run()
        #expect(try scratch.sh("cd volume/code/proj; find . | sort; cat kept") == ".\n./becomes\n./kept\nnew\n")
    }

    @Test("a file that changes while it is copied is copied again")
    func changed() throws {
        let scratch = try Scratch("echo old > a; echo b > b")
        let path = scratch.source.appending("a").description
        let times = Mutex(0)
        let result = try scratch.move { options in
            options.step = { step, changing in
                guard step == .verifyFile, changing.description == path,
                    times.withLock({
                        $0 += 1; return $0
                    }) == 1
                else { return }
                try? AtomicFile.write(Array("new contents\n".utf8), to: path)
            }
        }.run()
        #expect(result.files == 2 && times.withLock { $0 } == 2)
        #expect(try scratch.sh("cat volume/code/proj/a") == "new contents\n")
    }

    @Test("a file that keeps changing stops the move and is named")
    func keepsChanging() throws {
        let scratch = try Scratch("echo old > log")
        let path = scratch.source.appending("log").description
        let error = scratch.failure(
            scratch.move { options in
                options.step = { step, _ in
                    if step == .verifyFile, let file = try? Descriptor(opening: path, O_WRONLY | O_APPEND) {
                        try? file.writeAll(Array("x".utf8))
                    }
                }
            })
        #expect(error?.code == .busy)
        #expect(error?.description.contains("\(path) keeps changing") == true)
        #expect(try scratch.sh("cat pod/proj/log; ls volume/code") == "old\nxxx")
    }

    @Test("what is written at the last moment, while the link takes the source's place, brings the source back")
    func changedWhileSwitching() throws {
        let scratch = try Scratch("mkdir sub; echo a > sub/a")
        let hidden = scratch.path.appending("pod/.proj.packet-move/data/sub/late").description
        let error = scratch.failure(
            scratch.move { options in
                options.step = { step, path in
                    guard step == .exchange, path.lastComponent == ".proj.packet-move" else { return }
                    try? AtomicFile.write(Array("late\n".utf8), to: hidden)
                }
            })
        #expect(error?.code == .busy)
        #expect(error?.description.contains("it is where it was") == true)
        #expect(
            try scratch.sh("cat pod/proj/sub/late pod/proj/sub/a volume/code/proj/sub/a; ls -A pod")
                == "late\na\na\nproj\n")
    }

    @Test("what appears while the source is removed is kept and named")
    func changedWhileRemoving() throws {
        let scratch = try Scratch("mkdir sub; echo a > sub/a")
        let hidden = scratch.path.appending("pod/.proj.packet-move/data/sub/late").description
        let once = Mutex(false)
        let result = try scratch.move { options in
            options.step = { step, _ in
                guard step == .remove,
                    !once.withLock({
                        let was = $0; $0 = true; return was
                    })
                else { return }
                try? AtomicFile.write(Array("late\n".utf8), to: hidden)
            }
        }.run()
        #expect(result.notes.first?.contains("was kept") == true)
        #expect(try scratch.sh("cat \(hidden) pod/proj/sub/a") == "late\na\n")
    }

    @Test("other bytes than were written are noticed, and the source stays", arguments: [true, false])
    func corrupted(large: Bool) throws {
        let scratch = try Scratch("head -c 2500000 /dev/urandom > model; sha256sum model > ../sum")
        let staged = scratch.path.appending("volume/code/.proj.packet-move/tree/proj/model").description
        let error = scratch.failure(
            scratch.move { options in
                options.largeFile = large ? 1 << 20 : 1 << 30
                options.step = { step, _ in
                    guard step == .verifyFile, let file = try? Descriptor(opening: staged, O_RDWR) else { return }
                    var byte: UInt8 = 0
                    pread(file.number, &byte, 1, 1_700_000)
                    byte ^= 4
                    pwrite(file.number, &byte, 1, 1_700_000)
                }
            })
        #expect(error?.code == .mismatch)
        #expect(try scratch.sh("cd pod/proj; sha256sum -c ../sum; ls ../../volume/code") == "model: OK\n")
        _ = try scratch.move().run()
        #expect(try scratch.sh("cd volume/code/proj; sha256sum -c ../../../pod/sum") == "model: OK\n")
    }

    @Test("a process that writes to the source is named, one that reads is not")
    func writers() throws {
        let scratch = try Scratch("echo a > log; echo b > read; head -c 8192 /dev/zero > mapped")
        try scratch.sh("sleep 600 < pod/proj/read > /dev/null 2>&1 & echo $! > pid")
        _ = try scratch.move(copy: true) { $0.writers = { TreeWriters().find(below: $0) } }.run()
        try scratch.sh("kill $(cat pid); rm -rf volume/*; sleep 600 >> pod/proj/log 2> /dev/null & echo $! > pid")
        let error = scratch.failure(scratch.move { $0.writers = { TreeWriters().find(below: $0) } })
        try scratch.sh("kill $(cat pid)")
        #expect(error?.code == .busy)
        #expect(
            error?.description.contains("sleep (process") == true
                && error?.description.contains("/pod/proj/log") == true)
        try scratch.sh(
            """
            python3 -c 'import mmap,os,time; f=os.open("pod/proj/mapped",os.O_RDWR); m=mmap.mmap(f,8192); os.close(f); open("ready","w"); time.sleep(600)' > /dev/null 2>&1 &
            echo $! > pid; until [ -e ready ]; do sleep 0.02; done
            """)
        let mapped = scratch.failure(scratch.move { $0.writers = { TreeWriters().find(below: $0) } })
        try scratch.sh("kill $(cat pid)")
        #expect(mapped?.description.contains("/pod/proj/mapped") == true)
        #expect(try scratch.sh("ls -A pod; ls volume") == "proj\n")
    }

    @Test("an existing destination is never overwritten")
    func conflict() throws {
        let scratch = try Scratch("mkdir d; echo mine > d/a; echo same > same")
        try scratch.sh(
            "mkdir -p volume/code/proj/d; echo othe > volume/code/proj/d/a; echo same > volume/code/proj/same")
        for merges in [true, false] {
            let error = scratch.failure(scratch.move(merges: merges))
            #expect(error?.code == .conflict)
            #expect(error?.description.contains("/volume/code/proj/d/a is on the volume already") == true)
        }
        try scratch.sh("rm volume/code/proj/d/a")
        let error = scratch.failure(scratch.move())
        #expect(error?.code == .conflict && error?.description.contains("is not a copy of") == true)
        // A cache is completed.
        _ = try scratch.move(merges: true).run()
        #expect(
            try scratch.sh("cat pod/proj/d/a volume/code/proj/same; find volume | wc -l; find . -name '.*packet*'")
                == "mine\nsame\n6\n")
    }

    @Test("a preview tells a conflict at the destination and changes nothing")
    func previewedConflict() throws {
        let scratch = try Scratch("echo mine > a")
        #expect(try scratch.move().preview(looksAtDestination: true).files == 1)
        #expect(try scratch.sh("ls -A volume") == "", "no directory is made")
        try scratch.sh("mkdir -p volume/code/proj; echo othe > volume/code/proj/a")
        do {
            _ = try scratch.move().preview(looksAtDestination: true)
            Issue.record("no conflict")
        } catch { #expect(error.code == .conflict) }
        try scratch.sh("cp -p pod/proj/a volume/code/proj/a")
        #expect(try scratch.move().preview(looksAtDestination: true).files == 1)
        #expect(
            try scratch.sh("cat pod/proj/a; find volume | sort")
                == "mine\nvolume\nvolume/code\nvolume/code/proj\nvolume/code/proj/a\n")
    }

    @Test("an empty directory at the destination is as good as none, and one that has everything as good as a copy")
    func existing() throws {
        let scratch = try Scratch("mkdir d; echo a > d/a; ln -s d/a l")
        try scratch.sh("mkdir -p volume/code/proj")
        _ = try scratch.move(copy: true).run()
        try scratch.sh("echo more > volume/code/proj/more")
        _ = try scratch.move().run()
        #expect(try scratch.sh("cat pod/proj/l pod/proj/more") == "a\nmore\n")
        #expect(try scratch.leftovers() == "")
    }

    @Test("a directory that programs use is refused, and copied without what is no data")
    func special() throws {
        let scratch = try Scratch(
            "mkfifo pipe; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'; echo a > a")
        #expect(scratch.failure(scratch.move())?.description.contains("is a socket, pipe or device") == true)
        let result = try scratch.move(copy: true).run()
        #expect(result.notes.first?.hasPrefix("left out: 2") == true)
        #expect(try scratch.sh("ls volume/code/proj") == "a\n")
    }

    @Test("a name that is a link, or is not there, is refused")
    func refused() throws {
        let scratch = try Scratch("ln -s . ../link")
        #expect(
            scratch.failure(scratch.move(from: scratch.path.appending("pod/link")))?.description.contains(
                "symbolic link") == true)
        #expect(scratch.failure(scratch.move(from: scratch.path.appending("pod/none")))?.code == .system)
        #expect(
            scratch.failure(scratch.move(to: scratch.path.appending("elsewhere/x")))?.description.contains(
                "is not on the volume") == true)
        let other = TreeMove(
            source: scratch.source, destination: scratch.destination,
            volume: TransferVolume(mountPoint: scratch.volume, mountID: .max),
            options: TransferOptions(writers: { _ in [] }))
        #expect(scratch.failure(other)?.description.contains("is not mounted") == true)
        #expect(try scratch.sh("ls -A volume pod/proj") == "pod/proj:\n\nvolume:\n")
    }
}

private let exitThread = Mutex(false)
