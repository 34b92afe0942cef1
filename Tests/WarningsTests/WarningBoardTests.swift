import Testing

@testable import Warnings

@Suite("warnings") struct WarningBoardTests {
    private func look(_ board: inout WarningBoard, _ value: UInt64?, at now: Int64 = 0) -> (raised: Int, cleared: Int) {
        let observed = value.map {
            [WarningBoard.Observation(cause: "at-risk:a", value: $0, limit: 100, text: "\($0)")]
        }
        let change = board.update(observed ?? [], kind: "at-risk:", now: now)
        return (change.raised.count, change.cleared.count)
    }

    @Test("one that swings around its limit is told once")
    func hysteresis() {
        var board = WarningBoard()
        #expect(look(&board, 99) == (0, 0))
        #expect(look(&board, 100, at: 7) == (1, 0))
        for value: UInt64 in [99, 101, 60, 150, 199] { #expect(look(&board, value) == (0, 0)) }
        #expect(board.warnings.map(\.text) == ["199"] && board.warnings.first?.since == 7)
        #expect(look(&board, 50) == (0, 1))
        #expect(look(&board, 99) == (0, 0))
        #expect(look(&board, 120) == (1, 0))
    }

    @Test("it is told again when it has doubled")
    func doubled() {
        var board = WarningBoard()
        #expect(look(&board, 100) == (1, 0))
        #expect(look(&board, 200) == (1, 0))
        #expect(look(&board, 399) == (0, 0))
        #expect(look(&board, 401) == (1, 0))
        #expect(look(&board, nil) == (0, 1))
        #expect(board.warnings.isEmpty)
    }

    @Test("a look at one kind leaves the others alone, and never tells the same cause twice in a row")
    func kinds() {
        var board = WarningBoard()
        let stuck = WarningBoard.Observation(cause: "volume:/mnt/a", value: 1, limit: 1, text: "stuck")
        #expect(board.update([stuck], kind: "volume:", now: 0).raised.count == 1)
        #expect(board.update([stuck], kind: "volume:", now: 1).raised.isEmpty)
        #expect(look(&board, 100) == (1, 0))
        #expect(board.warnings.map(\.cause) == ["volume:/mnt/a", "at-risk:a"])
        #expect(board.update([], kind: "volume:", now: 2).cleared.map(\.cause) == ["volume:/mnt/a"])
    }

    @Test("at most two lines, and no control character reaches the terminal")
    func login() {
        let notice = LoginNotice([
            .init(seconds: 5, text: "a\u{1b}[31m\nb"), .init(seconds: 6, text: "two"), .init(seconds: 7, text: "three"),
        ])
        let text = String(decoding: notice.contents, as: UTF8.self)
        #expect(text.split(separator: "\n").count == 2 && text.hasSuffix("\n6 two\n") && !text.contains("\u{1b}"))
        #expect(LoginNotice([]).contents.isEmpty)
    }
}
