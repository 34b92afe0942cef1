/// A change of a text as people read it: the unified format of diff(1) and patch(1).
public enum UnifiedDiff {
    /// The lines of the diff, without their ends; empty when nothing differs.
    ///
    /// Everything between the first and the last line that differ is one hunk, with three lines around it: made for
    /// changes in one place. Lines are cut at newlines; bytes that are not UTF-8 are repaired.
    ///
    /// - Parameters:
    ///   - old: nil when there is no file.
    ///   - new: nil when there will be no file.
    public static func lines(path: String, old: [UInt8]?, new: [UInt8]?) -> [String] {
        guard old != new else { return [] }
        let (before, after) = (split(old ?? []), split(new ?? []))
        var start = 0
        while start < before.count, start < after.count, before[start] == after[start] { start += 1 }
        var end = 0
        while end < min(before.count, after.count) - start,
            before[before.count - 1 - end] == after[after.count - 1 - end]
        {
            end += 1
        }
        let first = max(0, start - 3)
        let trailing = min(3, end)
        let (oldCount, newCount) = (before.count - end + trailing - first, after.count - end + trailing - first)
        func place(_ count: Int) -> String { "\(count == 0 ? first : first + 1),\(count)" }
        var lines = ["--- \(old == nil ? "/dev/null" : path)", "+++ \(new == nil ? "/dev/null" : path)"]
        lines.append("@@ -\(place(oldCount)) +\(place(newCount)) @@")
        for line in before[first..<start] { lines += shown(" ", line) }
        for line in before[start..<(before.count - end)] { lines += shown("-", line) }
        for line in after[start..<(after.count - end)] { lines += shown("+", line) }
        for line in after[(after.count - end)...].prefix(trailing) { lines += shown(" ", line) }
        return lines
    }

    // Lines with their newline, so that a last line without one differs from one with it.
    private static func split(_ bytes: [UInt8]) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var rest = bytes[...]
        while let end = rest.firstIndex(of: 0x0a) {
            lines.append(Array(rest[...end]))
            rest = rest[(end + 1)...]
        }
        return rest.isEmpty ? lines : lines + [Array(rest)]
    }

    private static func shown(_ mark: String, _ line: [UInt8]) -> [String] {
        let text = mark + String(decoding: line.last == 0x0a ? line.dropLast() : line[...], as: UTF8.self)
        return line.last == 0x0a ? [text] : [text, "\\ No newline at end of file"]
    }
}
