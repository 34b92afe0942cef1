import Glibc
import LinuxKit
import Support
import Testing

@testable import Environment

/// A user of the pod exchanges files, links and directories of a home directory while root writes there.
@Suite(.enabled(if: getuid() == 0)) struct RaceTests {
    private static let uid: UInt32 = 1234
    private let scratch: Scratch
    private var home: String { scratch.path + "/home" }
    private var outside: String { scratch.path + "/outside" }
    private var changer: FileChanger { FileChanger(journal: ChangeJournal(stateDirectory: scratch.path + "/state")) }

    init() throws {
        scratch = try Scratch(in: "/dev/shm")
        try AtomicFile.createDirectory(scratch.path + "/state/changes")
    }

    /// The home directory and, beside it, a directory of root's with the same names in it.
    private func make(_ script: String) throws {
        try output(
            "/bin/bash",
            [
                "-ec",
                """
                umask 022; mkdir -p \(home)/config/sub \(outside)/sub \(outside)/secret; cd \(outside)
                echo SECRET-root > rc; echo SECRET-sub > sub/rc; echo SECRET > secret/key; chmod 600 rc sub/rc; chmod 700 secret
                cd \(home); echo 'mine=1' > config/rc; echo 'mine=2' > config/sub/rc; \(script)
                chown -hR \(Self.uid):\(Self.uid) \(home)
                """,
            ], environment: ["PATH": "/usr/bin:/bin"])
    }

    private func listing(_ directory: String) throws -> String {
        String(
            decoding: try output(
                "/bin/bash", ["-c", "cd '\(directory)' && find . -printf '%P %y %m %U %G %s %T@ %l\\n' | sort"],
                environment: ["PATH": "/usr/bin:/bin"]), as: UTF8.self)
    }

    /// Puts an edit in and takes it out again, and again, while names are exchanged.
    private func race(_ edit: FileEdit, _ pairs: [(String, String)]) throws {
        let before = try listing(outside)
        let done = try race(pairs) {
            var isDone = false
            if case .change(let change) = changer.plan(edit, layer: "race") {
                try changer.put(edit, change, layer: "race")
                isDone = true
            }
            let path = try changer.resolve(edit)
            if case .change(let change) = changer.planRemoval(of: path) { try changer.takeOut(path, change) }
            return isDone
        }
        #expect(try listing(outside) == before, "something outside the home directory changed")
        let leaked = try output(
            "/bin/bash", ["-c", "grep -rsl SECRET '\(home)' || true"],
            environment: ["PATH": "/usr/bin:/bin"])
        #expect(leaked.isEmpty, "the home directory holds what only root may read")
        #expect(done > 0)
    }

    /// Does something again and again while names are exchanged; returns how often it came through.
    private func race(_ pairs: [(String, String)], _ body: () throws -> Bool) throws -> Int {
        let racer = try Racer(pairs.map { (home + "/" + $0.0, home + "/" + $0.1) })
        var done = 0
        for _ in 0..<Racer.tries where (try? body()) == true { done += 1 }
        #expect(racer.stop() > 0)
        return done
    }

    @Test func aBlockNeverGoesIntoAFileBehindAnExchangedDirectory() throws {
        try make("ln -s \(outside) trap")
        let block = FileEdit(home + "/config/rc", in: home, .block(Array("ours=1\n".utf8), at: .last))
        try race(block, [("config", "trap")])
    }

    @Test func aBlockNeverGoesIntoAFileBehindAnExchangedLink() throws {
        try make("ln -s \(outside)/rc trap")
        let block = FileEdit(home + "/config/rc", in: home, .block(Array("ours=1\n".utf8), at: .last))
        try race(block, [("config/rc", "trap")])
    }

    @Test func aBlockNeverTakesInWhatAnExchangedHardLinkHolds() throws {
        try make("ln \(outside)/rc trap")
        // Another name has no owner of its own.
        chown(outside + "/rc", 0, 0)
        let block = FileEdit(home + "/config/rc", in: home, .block(Array("ours=1\n".utf8), at: .last))
        let done = try race([("config/rc", "trap")]) {
            guard case .change(let change) = changer.plan(block, layer: "race") else { return false }
            try changer.put(block, change, layer: "race")
            if case .change(let change) = changer.planRemoval(of: home + "/config/rc") {
                try changer.takeOut(home + "/config/rc", change)
            }
            return true
        }
        #expect(done > 0)
        #expect(try LocalFile.readText(outside + "/rc") == "SECRET-root\n")
        for name in ["config/rc", "trap"] {
            let (contents, status) = try LocalFile.readRegular(home + "/" + name)
            let holdsSecret = String(decoding: contents, as: UTF8.self).contains("SECRET")
            #expect(!holdsSecret || status.uid == 0, "\(name) holds root's text and belongs to \(status.uid)")
            #expect(status.permissions & 0o6000 == 0)
        }
    }

    @Test func directoriesAndLinksAreMadeForTheUserOnlyInTheHome() throws {
        try make("ln -s \(outside) trap; rm -r config/sub")
        let link = FileEdit(
            home + "/config/a/b/cache", in: home, .link("/mnt/v/cache"), owner: Self.uid)
        try race(link, [("config", "trap")])
    }

    @Test func aDirectoryOfRootInTheHomeIsNeverGivenAway() throws {
        try make("mkdir made; mkdir -m 700 theirs; echo SECRET > theirs/key; chown -R 0:0 theirs")
        chown(home + "/theirs", 0, 0)
        chown(home + "/theirs/key", 0, 0)
        let link = FileEdit(home + "/config/a/b", in: home, .link("/mnt/v/b"), owner: Self.uid)
        let done = try race([("config/a", "theirs")]) {
            defer {
                unlink(home + "/config/a/b")
                rmdir(home + "/config/a")
            }
            guard case .change(let change) = changer.plan(link, layer: "race") else { return false }
            try changer.put(link, change, layer: "race")
            return true
        }
        #expect(done > 0)
        for name in ["config/a", "theirs"] where access(home + "/" + name + "/key", F_OK) == 0 {
            #expect(try FileStatus(home + "/" + name).uid == 0, "\(name)")
            #expect(try FileStatus(home + "/" + name + "/key").uid == 0)
        }
    }
}
