import Testing

@testable import Transfer

@Suite(
    "a move and other users and volumes",
    .enabled(if: mayMount && !transferProgram.isEmpty, "needs root and mount namespaces"))
struct VolumeTests {
    private func inNamespace(_ scratch: Scratch, _ script: String, status: Int32 = 0) throws -> String {
        try scratch.sh(
            "export T=\(transferProgram) P=\(scratch.path)\nunshare -m bash -ec \"$(cat <<'END'\n\(script)\nEND\n)\"",
            status: status)
    }

    @Test("a volume that gets full loses nothing, and more room lets the move go on")
    func full() throws {
        let scratch = try Scratch(
            "for i in 1 2 3 4 5; do head -c 400000 /dev/urandom > $i; done; sha256sum * > ../sum; sleep 1.1")
        // Known before anything is copied.
        #expect(
            try inNamespace(
                scratch,
                "mount -t tmpfs -o size=1m v volume; $T $P/pod/proj $P/volume $P/volume/code/proj && exit 9; ls -A volume; cd pod/proj; sha256sum -c --quiet ../sum"
            ).contains("has room for"))
        // And noticed only while writing: more inodes than the volume has.
        let text = try inNamespace(
            scratch,
            """
            mount -t tmpfs -o size=64m,nr_inodes=9 v volume; $T $P/pod/proj $P/volume $P/volume/code/proj && exit 9
            (cd pod/proj; sha256sum -c --quiet ../sum); mount -o remount,nr_inodes=100 volume
            $T $P/pod/proj $P/volume $P/volume/code/proj; cd pod/proj/; sha256sum -c --quiet $P/pod/sum; readlink $P/pod/proj; find $P -name '.*packet*'
            """)
        #expect(text.contains("the volume is full; make room and run the command again"))
        #expect(text.contains("5 files, 2000000 bytes"))
    }

    @Test("an ext4 disk that gets full in the middle loses nothing, and more room lets the move go on")
    func fullDisk() throws {
        let scratch = try Scratch(
            "for i in $(seq 30); do head -c 200000 /dev/urandom > $i; done; sha256sum * > ../sum; sleep 1.1")
        // 18 inodes, of which ext4 keeps 11 for itself and its lost+found.
        let text = try inNamespace(
            scratch,
            """
            truncate -s 32M disk; mkfs.ext4 -q -N 16 disk; mount -o loop disk volume
            $T $P/pod/proj $P/volume $P/volume/code/proj && exit 9
            (cd pod/proj; sha256sum -c --quiet ../sum; [ ! -L $P/pod/proj ]); umount volume; mkfs.ext4 -qF disk; mount -o loop disk volume
            $T $P/pod/proj $P/volume $P/volume/code/proj; cd pod/proj/; sha256sum -c --quiet $P/pod/sum; readlink $P/pod/proj; find $P -name '.*packet*'
            """)
        #expect(text.contains("the volume is full; make room and run the command again"))
        #expect(text.contains("30 files, 6000000 bytes"))
    }

    @Test("a user who is not root moves what is his, and is told what he may not read")
    func unreadable() throws {
        let scratch = try Scratch(
            "echo a > a; echo s > secret; chown -R 1234:1234 .; chown root secret; chmod 600 secret")
        try scratch.sh("chown 1234:1234 pod volume; install -m 755 \(transferProgram) transfer")
        let user = "setpriv --reuid 1234 --regid 1234 --clear-groups ./transfer"
        let text = try scratch.sh("\(user) \(scratch.source) \(scratch.volume) \(scratch.destination)", status: 1)
        #expect(text.contains("/pod/proj/secret: Permission denied"))
        #expect(try scratch.sh("ls pod/proj; rm pod/proj/secret") == "a\nsecret\n")
        try scratch.sh("\(user) \(scratch.source) \(scratch.volume) \(scratch.destination)")
        #expect(try scratch.sh("stat -L -c %u pod/proj pod/proj/a; cat pod/proj/a") == "1234\n1234\na\n")
    }

    @Test("a mount below the source is refused")
    func mountBelow() throws {
        let scratch = try Scratch("mkdir m; echo a > a")
        let text = try inNamespace(
            scratch, "mount -t tmpfs m pod/proj/m; $T $P/pod/proj $P/volume $P/volume/code/proj && exit 9; ls pod/proj")
        #expect(text.contains("another file system that is mounted there") && text.hasSuffix("a\nm\n"))
    }

    @Test("a directory of the image cannot be replaced by a link, which is said before anything is copied")
    func imageDirectory() throws {
        let scratch = try Scratch("echo")
        let text = try inNamespace(
            scratch,
            """
            mount -t tmpfs o pod; mkdir -p pod/l/app pod/u pod/w pod/m; echo i > pod/l/app/image
            mount -t overlay o -o lowerdir=pod/l,upperdir=pod/u,workdir=pod/w pod/m; echo u > pod/m/app/user; mkdir pod/m/new; echo n > pod/m/new/n; echo f > pod/m/app/file
            $T $P/pod/m/app $P/volume $P/volume/code/app && exit 9
            ls -A pod/m volume; $T $P/pod/m/new $P/volume $P/volume/code/new; $T $P/pod/m/app/image $P/volume $P/volume/code/image; cat pod/m/new/n pod/m/app/image; find pod/m volume -name '.*packet*'
            """)
        #expect(text.contains("belongs to the container's image"))
        #expect(text.contains("pod/m:\napp\nnew\n\nvolume:\n"))
        #expect(text.hasSuffix("n\ni\n"), "\(text)")
    }
}
