import LinuxKit
import Testing

@Suite struct UnifiedDiffTests {
    @Test func differencesAreShownAsDiffShowsThem() {
        func lines(_ old: String?, _ new: String?) -> [String] {
            UnifiedDiff.lines(path: "f", old: old.map { Array($0.utf8) }, new: new.map { Array($0.utf8) })
        }
        #expect(lines("a\n", "a\n").isEmpty)
        #expect(lines(nil, "a\n") == ["--- /dev/null", "+++ f", "@@ -0,0 +1,1 @@", "+a"])
        #expect(
            lines("1\n2\n3\n4\n5\n6\n7\n8", "1\n2\n3\n4\nx\n6\n7\n8")
                == [
                    "--- f", "+++ f", "@@ -2,7 +2,7 @@", " 2", " 3", " 4", "-5", "+x", " 6", " 7", " 8",
                    "\\ No newline at end of file",
                ])
    }
}
