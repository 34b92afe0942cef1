import Glibc
import LinuxKit
import Testing

@Suite("C string arrays") struct CStringArrayTests {
    @Test("every byte arrives, and a null pointer ends the array")
    func roundTrip() {
        let entries: [[UInt8]] = [[0xff, 0x3d, 0x0a], [], Array("A=1".utf8)]
        let copies = CStringArray.with(entries) { pointers in
            var copies: [[UInt8]] = []
            while let pointer = pointers[copies.count] { copies.append(CStringArray.bytes(of: pointer)) }
            return copies
        }
        #expect(copies == entries)
        #expect(CStringArray.with([]) { $0[0] } == nil)
    }

    @Test("the environment's entries have their names and values")
    func environment() {
        let before = ProcessEnvironment.entries
        #expect(before.contains { $0.starts(with: Array("PATH=".utf8)) })
    }
}
