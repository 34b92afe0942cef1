import Glibc
import LinuxKit
import Storage
import Support
import Testing

@testable import Transfer

/// A user of the pod exchanges directories and files for links while root moves them.
@Suite(.enabled(if: getuid() == 0)) struct RaceTests {
    private static let tree =
        "mkdir sub; echo data > sub/a; echo data > b; ln -s ../../secret trap; ln -s ../../secret/key link"

    /// Each try is a whole move of many system calls.
    private static let tries = max(10, Racer.tries / 100)

    @Test(arguments: [true, false]) func whatOnlyRootMayReadIsNeverReached(copies: Bool) throws {
        let scratch = try Scratch(Self.tree)
        try scratch.sh("mkdir -m 700 secret; echo SECRET > secret/key; cp secret/key secret/a; chmod 600 secret/*; ")
        let look = "find secret -printf '%p %y %m %U %G %s %T@ %C@\\n' | sort"
        let before = try scratch.sh(look)
        var (done, exchanges) = (0, 0)
        for _ in 0..<Self.tries {
            try scratch.sh(
                "rm -rf volume pod; mkdir -p volume pod/proj; cd pod/proj; \(Self.tree); chown -hR 1234:1234 ..")
            let source = "\(scratch.source)"
            let racer = try Racer([(source + "/sub", source + "/trap"), (source + "/b", source + "/link")])
            if (try? scratch.move(copy: copies).run()) != nil { done += 1 }
            exchanges += racer.stop()
            #expect(try scratch.sh("grep -rsl SECRET volume pod || true") == "")
        }
        #expect(try scratch.sh(look) == before, "something outside the source changed")
        #expect(exchanges > 0, "\(done) moves came through")
    }

    @Test func theVolumesOwnerCannotLeadTheCopyElsewhere() throws {
        let scratch = try Scratch("mkdir sub; echo data > sub/a")
        try scratch.sh("mkdir outside; echo theirs > outside/proj")
        let before = try scratch.sh("find outside -printf '%p %y %m %U %G %s %T@\\n' | sort")
        var exchanges = 0
        for _ in 0..<Self.tries {
            try scratch.sh(
                "rm -rf volume pod; mkdir -p volume/code pod/proj/sub; echo data > pod/proj/sub/a; ln -s ../outside volume/trap"
            )
            let volume = "\(scratch.volume)"
            let racer = try Racer([(volume + "/code", volume + "/trap")])
            _ = try? scratch.move().run()
            exchanges += racer.stop()
        }
        #expect(try scratch.sh("find outside -printf '%p %y %m %U %G %s %T@\\n' | sort") == before)
        #expect(exchanges > 0)
    }
}
