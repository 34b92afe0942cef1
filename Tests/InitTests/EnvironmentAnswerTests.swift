import Testing

@testable import Init

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

@Suite("entrypoint: variables for the command") struct EnvironmentAnswerTests {
    @Test("what is written is read, byte for byte")
    func roundTrip() {
        let odd = bytes("HF_HOME=/mnt/") + [0xff, 0x0a, 0x3d]
        for entries in [[], [bytes("A=")], [odd, bytes("B_2=x=y")]] {
            let answer = EnvironmentAnswer(entries: entries)
            #expect(EnvironmentAnswer(parsing: answer.bytes) == answer)
        }
    }

    @Test("an answer that was cut or is none is refused as a whole")
    func refused() {
        let whole = EnvironmentAnswer(entries: [bytes("A=1"), bytes("B=2")]).bytes
        for length in 0..<whole.count { #expect(EnvironmentAnswer(parsing: Array(whole[..<length])) == nil) }
        for text in ["A=1\n", "A=1", "=1\0\0", "1A=1\0\0", "A B=1\0\0", "export A=1\0\0", "A\0\0", "A=1\0\0\0"] {
            #expect(EnvironmentAnswer(parsing: bytes(text)) == nil, "\(text)")
        }
        let long = EnvironmentAnswer(entries: [bytes("A=") + [UInt8](repeating: 0x61, count: EnvironmentAnswer.limit)])
        #expect(EnvironmentAnswer(parsing: long.bytes) == nil)
    }

    @Test("only what changes is told, and nothing is ever taken away")
    func difference() {
        let before = [bytes("PATH=/bin"), bytes("odd"), bytes("X=1")]
        let answer = EnvironmentAnswer(from: before, to: [bytes("PATH=/mnt/bin:/bin"), bytes("X=1"), bytes("N=2")])
        #expect(answer.entries == [bytes("PATH=/mnt/bin:/bin"), bytes("N=2")])
        #expect(
            answer.merged(into: before)
                == [bytes("PATH=/mnt/bin:/bin"), bytes("odd"), bytes("X=1"), bytes("N=2")])
    }

    @Test("a name is not taken for the beginning of another")
    func prefix() {
        let answer = EnvironmentAnswer(entries: [bytes("HF=1")])
        #expect(
            answer.merged(into: [bytes("HF_HOME=2"), bytes("HF")]) == [bytes("HF_HOME=2"), bytes("HF"), bytes("HF=1")])
    }
}
