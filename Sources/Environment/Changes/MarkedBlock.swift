/// The agent's lines in a file that others own, between two marks; every other byte stays as it is.
///
/// The opening mark says what must be undone besides the block (`file`: the file was made, `newline`: the last line was
/// ended) and holds a checksum, so that a block that somebody changed is recognised and left alone.
public enum MarkedBlock {
    /// What a file's contents say about our block.
    public enum State: Sendable, Equatable {
        /// There is none.
        case absent
        /// It is as it was written.
        case untouched(body: [UInt8])
        /// Somebody changed it, or a mark is missing.
        case changed
    }

    /// Where a new block goes.
    public enum Position: Sendable, Equatable {
        /// Before everything else. A block that is there stays where it is.
        case first
        /// After everything else. A block that is there stays where it is.
        case last
        /// At this byte of the contents without our block, the start of a line or the end. A block elsewhere is moved.
        case offset(Int)
    }

    private static let open = "# >>> packet-agent >>> "
    private static let close = "# <<< packet-agent <<<\n"

    /// The contents with our block; nil when somebody changed it.
    ///
    /// - Parameters:
    ///   - contents: nil when there is no file.
    ///   - body: whole lines, each ended by a newline.
    public static func put(_ body: [UInt8], into contents: [UInt8]?, at position: Position = .last) -> [UInt8]? {
        let text = contents ?? []
        switch find(in: text) {
        case .none: return insert(body, into: text, at: position, isNew: contents == nil)
        case .found(let range, let kind, _):
            if case .offset = position {
                let rest = remove(from: text) ?? text
                return insert(body, into: rest ?? [], at: position, isNew: kind == "file")
            }
            return text[..<range.lowerBound] + block(body, kind: kind) + text[range.upperBound...]
        case .changed: return nil
        }
    }

    private static func insert(_ body: [UInt8], into text: [UInt8], at position: Position, isNew: Bool) -> [UInt8] {
        let offset =
            switch position {
            case .first: 0
            case .last: text.count
            case .offset(let offset): min(max(0, offset), text.count)
            }
        let isCut = offset > 0 && text[offset - 1] != newline
        let kind = isNew ? "file" : isCut ? "newline" : "block"
        return text[..<offset] + (isCut ? [newline] : []) + block(body, kind: kind) + text[offset...]
    }

    /// What remains without our block: nil when the file was ours and nothing else is in it.
    ///
    /// - Returns: the outer nil when somebody changed the block; it is then left alone.
    public static func remove(from contents: [UInt8]) -> [UInt8]?? {
        switch find(in: contents) {
        case .none: return .some(contents)
        case .changed: return nil
        case .found(let range, let kind, _):
            var before = contents[..<range.lowerBound]
            if kind == "newline", before.last == newline { before.removeLast() }
            let rest = Array(before + contents[range.upperBound...])
            return .some(rest.isEmpty && kind == "file" ? nil : rest)
        }
    }

    /// What the contents say about our block.
    public static func state(in contents: [UInt8]) -> State {
        switch find(in: contents) {
        case .none: .absent
        case .changed: .changed
        case .found(_, _, let body): .untouched(body: body)
        }
    }

    private static let newline = UInt8(ascii: "\n")

    private enum Found {
        case none, changed
        case found(range: Range<Int>, kind: String, body: [UInt8])
    }

    private static func block(_ body: [UInt8], kind: String) -> [UInt8] {
        Array("\(open)\(kind) \(checksum(body))\n".utf8) + body + Array(close.utf8)
    }

    private static func find(in contents: [UInt8]) -> Found {
        let starts = lineStarts(in: contents, of: open.utf8)
        // Also without its newline: the end of a file that lost its last one is no mark yet, but becomes one when we append.
        let ends = lineStarts(in: contents, of: close.utf8.dropLast())
        if starts.isEmpty && ends.isEmpty { return .none }
        guard starts.count == 1, ends.count == 1, starts[0] < ends[0], contents[ends[0]...].starts(with: close.utf8),
            let line = contents[starts[0]...].firstIndex(of: newline)
        else {
            return .changed
        }
        let fields = String(decoding: contents[(starts[0] + open.utf8.count)..<line], as: UTF8.self).split(
            separator: " ")
        let body = Array(contents[(line + 1)..<ends[0]])
        guard fields.count == 2, ["file", "newline", "block"].contains(fields[0]), fields[1] == checksum(body) else {
            return .changed
        }
        return .found(range: starts[0]..<(ends[0] + close.utf8.count), kind: String(fields[0]), body: body)
    }

    private static func lineStarts(in contents: [UInt8], of mark: some Sequence<UInt8>) -> [Int] {
        let starts = [0] + contents.indices.filter { contents[$0] == newline }.map { $0 + 1 }
        return starts.filter { contents[$0...].starts(with: mark) }
    }

    /// FNV-1a, 64 bits: notices edits, guards against nobody (RFC draft-eastlake-fnv).
    private static func checksum(_ bytes: [UInt8]) -> String {
        let hash = bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        let hex = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - hex.count) + hex
    }
}
