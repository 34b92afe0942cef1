import LinuxKit
import Storage
import Testing

@testable import Transfer

@Suite("journal and names")
struct JournalTests {
    @Test("is read as it was written, whatever the destination's bytes; a torn one is none")
    func journal() {
        let journal = Journal(
            phase: .removing, digest: .max, checked: .init(seconds: 12, nanoseconds: 5),
            destination: BytePath(bytes: [0x2f, 0xff, 0x0a, 0x2f, 0x0a]))
        #expect(Journal(parsing: journal.contents) == journal)
        for count in 0..<40 { #expect(Journal(parsing: Array(journal.contents.prefix(count))) == nil) }
    }

    @Test("every state that a killed move can leave has one way on, and no other is touched")
    func interruption() {
        let all: [Interruption.Found] = [.nothing, .link, .data]
        var ways: [String] = []
        for phase in [nil, Journal.Phase.switching, .removing] {
            for source in all {
                for aside in all {
                    let state = Interruption.state(phase: phase, source: source, aside: aside)
                    if state != .unclear { ways.append("\(phase?.rawValue ?? "-") \(source) \(aside): \(state)") }
                    // Data is removed only after it was looked at, and only while something else stands for it.
                    if aside == .data, phase != .removing { #expect(state != .remove && state != .undo) }
                }
            }
        }
        #expect(
            ways == [
                "- data nothing: undo", "- data link: undo", "switching nothing data: restore",
                "switching link data: check",
                "switching data nothing: undo", "switching data link: undo", "removing nothing nothing: remove",
                "removing nothing data: remove", "removing link nothing: remove", "removing link data: remove",
                "removing data nothing: remove", "removing data data: remove",
            ])
    }

    @Test("hidden names fit into a directory and stay apart")
    func hiddenNames() {
        let long = (0..<3).map { FileName(name: Array(repeating: UInt8(ascii: "x"), count: 252 + $0)) }
        let names = long.map { Staging.hiddenName(beside: $0).bytes }
        #expect(Set(names).count == 3 && names.allSatisfy { $0.count <= 255 })
        #expect(Staging.hiddenName(beside: FileName(name: "a".utf8)).bytes == Array(".a.packet-move".utf8))
    }
}
