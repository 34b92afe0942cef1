import LinuxKit
import Settings
import Storage

@testable import Environment
@testable import Transfer

/// Nothing that could move a cursor, hide text or turn its direction reaches a terminal.
func terminalText(_ input: [UInt8]) {
    let shown = TerminalText.escape(bytes: input)
    for scalar in shown.unicodeScalars {
        switch scalar.value {
        case 0..<0x20, 0x7f..<0xa0, 0x061c, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069:
            fatalError("U+\(String(scalar.value, radix: 16)) is shown")
        default: continue
        }
    }
    require(TerminalText.escape(shown) == shown, "escaped text is escaped again")
    require(TerminalText.escape(String(decoding: input, as: UTF8.self)).utf8.allSatisfy { $0 >= 0x20 }, "a control")
}

/// Paths as bytes: a normal path stays, and a link that is moved leads where it led.
func paths(_ input: [UInt8]) {
    let (first, second) = halves(input)
    let path = BytePath(bytes: first).normalized
    require(path.isAbsolute && path.normalized == path, "a normal path changes when it is made normal again")
    require(path.isWithin(.root) && path.isWithin(path), "a path is not within itself")
    require(!path.components.contains { $0.elementsEqual("..".utf8) || $0.elementsEqual(".".utf8) }, "dots remain")
    let target = second.filter { $0 != 0 }
    guard !target.isEmpty, path != .root else { return }
    let directory = path.appending("a").appending("b")
    let text = BytePath(bytes: LinkRule.text(target, in: directory, of: path))
    let old = target.first == BytePath("/").bytes[0] ? BytePath(bytes: target) : directory.appending(target)
    let new = text.isAbsolute ? text : directory.appending(text.bytes)
    require(new.normalized == old.normalized, "a link leads somewhere else")
    if LinkRule.escape(target, in: directory, of: path) != nil {
        let moved = BytePath("/volume/x/a/b").appending(text.bytes).normalized
        require(text.isAbsolute || moved.isWithin("/volume/x"), "a link of the copy leads out of it")
    }
}

/// A rule of `storage.rules` in its own syntax.
func storageRule(_ input: [UInt8]) {
    let text = String(decoding: input, as: UTF8.self)
    guard let rule = try? StorageRule(text) else { return }
    require(rule.mountPoint.first == UInt8(ascii: "/") && !rule.mountPoint.contains(0), "no mount point")
    require(
        StorageRule.lifetimes.contains(rule.lifetime) && !rule.reason.isEmpty, "a rule without a lifetime or reason")
    _ = BytePath("/mnt/a b").matches(pattern: BytePath(bytes: rule.mountPoint))
}

/// A difference of two texts names every line that is only in one.
func difference(_ input: [UInt8]) {
    let (old, new) = halves(input)
    let lines = UnifiedDiff.lines(path: "f", old: old, new: new)
    require(lines.isEmpty == (old == new), "a difference is not shown, or one that is none")
}
