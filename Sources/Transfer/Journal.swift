import CLinux
import Glibc
import LinuxKit
import Storage

/// What is being done at the source while a link takes its place, kept beside the source until it is done.
struct Journal: Equatable, Sendable {
    enum Phase: String, Sendable {
        /// The copy is complete; the link is being put in place.
        case switching
        /// The link is in place, and nothing changed at the source before: its data is being removed.
        case removing
    }

    var phase: Phase
    /// ``SourceTree/digest`` of what was copied.
    var digest: UInt64
    /// When the last look at the source began: what changed later is not on the volume.
    var checked: FileStatus.Time
    /// Where the copy is.
    var destination: BytePath

    static let fileName: FileName = FileName(name: "journal".utf8)
    private static let header = "packet-agent move 1"

    init(phase: Phase, digest: UInt64, checked: FileStatus.Time, destination: BytePath) {
        (self.phase, self.digest, self.checked, self.destination) = (phase, digest, checked, destination)
    }

    /// Four lines and the destination, which may hold any bytes.
    var contents: [UInt8] {
        Array("\(Self.header)\n\(phase.rawValue)\n\(digest)\n\(checked.text)\n".utf8) + destination.bytes
    }

    init?(parsing bytes: [UInt8]) {
        let lines = bytes.split(separator: 0x0a, maxSplits: 4, omittingEmptySubsequences: false)
        guard lines.count == 5, lines[0].elementsEqual(Self.header.utf8) else { return nil }
        let text = lines[1..<4].map { String(decoding: $0, as: UTF8.self) }
        guard let phase = Phase(rawValue: text[0]), let digest = UInt64(text[1]),
            let checked = FileStatus.Time(text: text[2])
        else { return nil }
        self.init(phase: phase, digest: digest, checked: checked, destination: BytePath(bytes: lines[4]))
    }

    /// Writes a small file so that a crash leaves the old one or the new one, and makes it durable.
    static func replace(_ name: FileName, with contents: [UInt8], in directory: Int32, path: BytePath)
        throws(TransferError)
    {
        let temporary = FileName(name: name.bytes + Array(".new".utf8))
        let file = try Opening.file(directory, temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600, path: path)
        do throws(LinuxError) {
            try file.writeAll(contents)
            try file.sync()
            try file.closeChecked()
        } catch {
            throw .system("write", path, error.code)
        }
        guard renameat(directory, temporary, directory, name) == 0 else { throw .system("write", path, errno) }
        try TreeCopy.sync(directory, path: path.parent)
    }
}

/// How far a move got that was interrupted at the source, and what is to be done. Pure.
enum Interruption: Equatable, Sendable {
    /// What a name is.
    enum Found: Equatable, Sendable { case nothing, link, data }

    /// Nothing was begun: the source is where it was.
    case none
    /// The link was only prepared: it is removed again.
    case undo
    /// The source was set aside and no link stands in its place: it goes back.
    case restore
    /// The link is in place: look whether the data that was set aside is what was copied.
    case check
    /// The link is in place and all was well: the rest of the data is removed.
    case remove
    /// What is there cannot have come from a move: nothing is touched.
    case unclear

    /// - Parameters:
    ///   - phase: of the journal; nil when it cannot be read.
    ///   - source: what stands at the source's name.
    ///   - aside: what stands beside it, in the journal's directory.
    static func state(phase: Journal.Phase?, source: Found, aside: Found) -> Interruption {
        switch (phase, source, aside) {
        case (nil, .data, .nothing), (nil, .data, .link), (.switching, .data, .nothing), (.switching, .data, .link):
            .undo
        case (.switching, .nothing, .data): .restore
        case (.switching, .link, .data): .check
        // Whatever the user put at the source's name since then: what was set aside is on the volume.
        case (.removing, _, .data), (.removing, _, .nothing): .remove
        default: .unclear
        }
    }
}
