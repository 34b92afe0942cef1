import AtRisk
import Glibc
import LinuxKit
import Storage
import Synchronization
import Testing

@testable import Transfer

@Suite("moving a tree")
struct MoveTests {
    /// A random tree with everything that a file system can hold.
    private static let generator = """
        python3 - SEED <<'END'
        import os, random, sys
        r = random.Random(int(sys.argv[1]))
        root = os.geteuid() == 0
        dirs, files = [b"."], []
        def name(): return bytes(r.choice([b"a", b"b.txt", b"with space", b"new\\nline", b"\\xff\\xfe", b"-dash", b"*", "\\u00fc".encode(), b"x" * 255, b".dot", b"origin", b"tree"])) + str(r.randrange(10**6)).encode() * r.randrange(2)
        def fresh():
            while True:
                path = os.path.join(r.choice(dirs), name()[:255])
                if not os.path.lexists(path) and len(path) < 3000: return path
        for _ in range(r.randrange(5, 60)):
            kind = r.randrange(10)
            path = fresh()
            if kind < 2:
                os.mkdir(path); dirs.append(path)
            elif kind < 6 or not files:
                with open(path, "wb") as f: f.write(r.randbytes(r.choice([0, 1, 4095, 4096, 4097, 65536, 1048575, 1048576, 1048577, 3145728])))
                files.append(path)
            elif kind == 6:
                with open(path, "wb") as f:
                    f.truncate(r.randrange(1, 8 << 20))
                    for _ in range(r.randrange(4)):
                        f.seek(r.randrange(8 << 20)); f.write(r.randbytes(r.randrange(1, 70000)))
                files.append(path)
            elif kind == 7:
                os.link(r.choice(files), path); files.append(path)
            else:
                os.symlink(r.choice([b"/etc/passwd", b"gone", b".", b"./a", os.path.basename(path), b"a" * 200]), path)
        for path in files + dirs:
            if r.random() < 0.3: os.setxattr(path, b"user." + r.choice([b"k", b"long" * 20]), r.randbytes(r.randrange(50)))
            if root and r.random() < 0.3: os.chown(path, r.randrange(3000), r.randrange(3000))
            os.chmod(path, r.choice([0o644, 0o600, 0o755, 0o400, 0o4755, 0o2750, 0o1777, 0o000 if root else 0o700, 0o555]))
        for path in files + dirs[::-1]:
            os.utime(path, ns=(r.randrange(2**60), r.randrange(2**60)), follow_symlinks=False)
        END
        """

    @Test("a random tree is the same on the volume and through the link", arguments: 1...24)
    func fidelity(seed: Int) throws {
        let scratch = try Scratch(Self.generator.replacing("SEED", with: "\(seed)"))
        let before = try scratch.contents(scratch.source)
        let result = try scratch.move { $0.largeFile = seed % 2 == 0 ? 1 << 20 : 16 << 20 }.run()
        #expect(result.notes == [])
        #expect(try scratch.contents(scratch.destination) == before)
        #expect(try scratch.contents(scratch.source) == before)
        #expect(try scratch.sh("readlink pod/proj") == "\(scratch.destination)\n")
        #expect(try scratch.leftovers() == "")
    }

    @Test("with --copy the source stays as it is, and copying again finds everything there")
    func copy() throws {
        let scratch = try Scratch(Self.generator.replacing("SEED", with: "77"))
        let before = try scratch.contents(scratch.source)
        let first = try scratch.move(copy: true).run()
        let written = Mutex(0)
        let second = try scratch.move(copy: true) { $0.step = { _, _ in written.withLock { $0 += 1 } } }.run()
        #expect(first == second)
        #expect(written.withLock { $0 } == 0)
        #expect(try scratch.contents(scratch.source) == before)
        #expect(try scratch.contents(scratch.destination) == before)
        #expect(try scratch.sh("readlink pod/proj || true") == "")
    }

    @Test("one file moves as a tree does")
    func file() throws {
        let scratch = try Scratch(
            "echo content > model.pt; touch -d '2001-02-03 04:05:06.7' model.pt; echo other > other")
        let target = scratch.volume.appending("checkpoints/proj/model.pt")
        _ = try scratch.move(to: target, from: scratch.source.appending("model.pt")).run()
        #expect(
            try scratch.sh("cat pod/proj/model.pt; readlink pod/proj/model.pt; ls -A pod/proj volume/checkpoints/proj")
                == """
                content
                \(target)
                pod/proj:
                model.pt
                other

                volume/checkpoints/proj:
                model.pt

                """)
    }

    @Test("a sparse file occupies no more on the volume than at the source")
    func sparse() throws {
        let scratch = try Scratch(
            "truncate -s 200M s; for at in 0 40000000 150000000; do echo x | dd of=s bs=1 seek=$at conv=notrunc status=none; done; cp s t"
        )
        _ = try scratch.move { $0.largeFile = 300 << 20 }.run()
        #expect(
            try scratch.sh("stat -c '%s' volume/code/proj/s; [ $(stat -c %b volume/code/proj/s) -lt 1000 ]")
                == "209715200\n")
        let large = try Scratch(
            "truncate -s 200M s; for at in 0 40000000 150000000; do echo x | dd of=s bs=1 seek=$at conv=notrunc status=none; done; cp s ../t"
        )
        _ = try large.move { $0.largeFile = 1 << 20 }.run()
        #expect(try large.sh("[ $(stat -c %b volume/code/proj/s) -lt 1000 ]; cmp pod/t volume/code/proj/s") == "")
    }

    @Test("paths longer than the kernel takes at once, and thousands of levels")
    func deep() throws {
        let scratch = try Scratch(
            """
            python3 - <<'END'
            import os
            base = os.open(".", os.O_RDONLY)
            here = os.dup(base)
            for level in range(60):
                os.mkdir("d" * 250, dir_fd=here)
                below = os.open("d" * 250, os.O_RDONLY, dir_fd=here); os.close(here); here = below
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
            here = os.dup(base)
            for level in range(1500):
                os.mkdir("s", dir_fd=here)
                below = os.open("s", os.O_RDONLY, dir_fd=here); os.close(here); here = below
            os.symlink("nowhere", "link", dir_fd=here)
            END
            """)
        let result = try scratch.move().run()
        #expect(result.files == 1)
        #expect(try scratch.sh("find volume/code/proj | wc -l; find pod -mindepth 1 | wc -l") == "1563\n1\n")
    }

    @Test("links that lead out of the tree lead to the same place from the volume")
    func links() throws {
        let scratch = try Scratch(
            """
            mkdir sub; ln -s ../../beside sub/out; ln -s ../proj/sub in; ln -s ../../proj/x sub/again; ln -s sub/../x kept
            ln -s /abs abs; ln -s . dot; echo there > ../beside
            """)
        let result = try scratch.move().run()
        #expect(
            try scratch.sh("cat pod/proj/sub/out; cd volume/code/proj; readlink sub/out in sub/again kept abs dot")
                == """
                there
                \(scratch.path)/pod/beside
                sub
                ../x
                sub/../x
                /abs
                .

                """)
        #expect(result.notes.count == 1 && result.notes.first?.contains("lead out of") == true)
    }

    @Test("names outside of the tree are told")
    func namesOutside() throws {
        let scratch = try Scratch("echo x > a; ln a b; ln a ../outside")
        #expect(try scratch.move().run().notes.first?.hasPrefix("1 further names") == true)
        #expect(try scratch.sh("stat -c %h volume/code/proj/a pod/outside") == "2\n1\n")
    }

    @Test("a repository of a Hugging Face cache takes shared blobs along; the whole cache keeps its store")
    func hub() throws {
        let hash = String(repeating: "ab", count: 32)
        let script = """
            mkdir -p blobs/ab models--o--n/blobs models--o--n/snapshots/1; echo weights > blobs/ab/\(hash); chmod 444 blobs/ab/\(hash)
            printf '1\\n' > blobs/.huggingface-shared-blobs; echo models--o--n/blobs/etag > blobs/ab/\(hash).refs
            ln -s ../../blobs/ab/\(hash) models--o--n/blobs/etag; ln -s ../../blobs/etag models--o--n/snapshots/1/model.bin
            """
        let one = try Scratch(script)
        let repository = one.source.appending("models--o--n")
        let result = try one.move(to: one.volume.appending("huggingface/hub/models--o--n"), from: repository).run()
        #expect(result.notes == [] && result.files == 1 && result.bytes == 8)
        #expect(
            try one.sh(
                "cat pod/proj/models--o--n/snapshots/1/model.bin; cd volume/huggingface/hub/models--o--n; cat snapshots/1/model.bin; stat -c '%F %a' blobs/etag; ls ../"
            ) == "weights\nweights\nregular file 444\nmodels--o--n\n")
        #expect(try one.sh("cat pod/proj/blobs/ab/*b") == "weights\n", "others may share it")
        let all = try Scratch(script)
        let before = try all.contents(all.source)
        _ = try all.move().run()
        #expect(try all.contents(all.destination) == before)
        #expect(try all.sh("cat volume/code/proj/models--o--n/snapshots/1/model.bin") == "weights\n")
    }
}
