import FoundationEssentials
import Environment
import LinuxKit

/// One script as it was taken off the volume: what was found, and the private copy that is run in its place.
struct SetupScript: Codable, Equatable {
    /// What was found.
    enum Finding: String, Codable { case refused, ready }

    /// Its path on the volume, made safe for a terminal.
    var name: String
    var finding: Finding
    /// Why it is refused and how to mend that.
    var reason: String?
    /// Of the file on the volume.
    var sha256 = ""
    /// The private copy.
    var path = ""
    /// What runs it, with its argument.
    var interpreter: [String] = []
    /// Who runs it.
    var user: SetupUser?
    var warnings: [String] = []

    /// The largest script that is read.
    static let sizeLimit = 1 << 20

    static func refused(_ name: String, _ reason: String) -> SetupScript {
        SetupScript(name: name, finding: .refused, reason: "\(name) \(reason)")
    }

    /// What runs a script: its `#!` line (execve(2): one path, one argument), else bash.
    static func interpreter(of script: [UInt8]) -> (interpreter: [String], warnings: [String]) {
        let line = script.prefix { $0 != UInt8(ascii: "\n") }
        guard line.starts(with: "#!".utf8) else {
            return (["/bin/bash"], ["the script has no #! line; it is run with /bin/bash"])
        }
        let text = String(decoding: line.dropFirst(2).filter { $0 != UInt8(ascii: "\r") }, as: UTF8.self)
        let parts = text.split(maxSplits: 1, whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
        guard let program = parts.first, program.hasPrefix("/") else {
            return (["/bin/bash"], ["the #! line names no absolute path; the script is run with /bin/bash"])
        }
        let argument =
            parts.dropFirst().first.map { String($0.reversed().drop { $0 == " " || $0 == "\t" }.reversed()) } ?? ""
        return ([program] + (argument.isEmpty ? [] : [argument]), [])
    }

    /// The copy's text: without what Windows editors add, which no Unix interpreter understands.
    static func text(of script: [UInt8]) -> (text: [UInt8], warnings: [String]) {
        var text = script
        var warnings: [String] = []
        if text.starts(with: [0xef, 0xbb, 0xbf]) {
            text.removeFirst(3)
            warnings.append("the script begins with a byte order mark, which is left out")
        }
        let carriageReturn = UInt8(ascii: "\r")
        let newline = UInt8(ascii: "\n")
        if text.indices.contains(where: { text[$0] == carriageReturn && $0 + 1 < text.count && text[$0 + 1] == newline }
        ) {
            var unix: [UInt8] = []
            unix.reserveCapacity(text.count)
            for (index, byte) in text.enumerated() {
                let isLast = index + 1 == text.count
                if byte == carriageReturn && (isLast || text[index + 1] == newline) { continue }
                unix.append(byte)
            }
            text = unix
            warnings.append("the script has Windows line ends (CRLF); it is run with Unix ones")
        }
        return (text, warnings)
    }
}

/// What is asked of the child that reads the volume.
struct SetupRequest: Codable, Equatable {
    var mountPoint: String
    var mountID: UInt64?
    /// `setup.script`, relative to the volume.
    var script: String
    /// `setup.directory`; empty for none.
    var directory: String
    /// Where the private copies go.
    var copies: String
    /// `setup.allowed_owners`.
    var owners: [UInt32]
    /// `setup.strict`.
    var isStrict: Bool
    /// `setup.user`.
    var user: String
    var way = VolumeOpening.Way.kernel

    /// The parent's side: asks a child, because the volume may not answer. The scripts in the order in which they run; none
    /// when there are none.
    ///
    /// - Throws: ``SetupRequest/Failure`` when the volume as a whole cannot be read.
    func fetch(_ probe: ProbeProgram, milliseconds: Int) throws(Failure) -> [SetupScript] {
        let answer: ChildProcess.Captured
        do {
            let question = String(decoding: try JSONEncoder().encode(self), as: UTF8.self)
            answer = try probe.run("setup-read", [question], milliseconds: milliseconds, limit: 16 << 20)
        } catch {
            throw Failure(reason: "\(error)")
        }
        if answer.timedOut { throw Failure(reason: "the volume did not answer within \(milliseconds) ms") }
        if let scripts = try? JSONDecoder().decode([SetupScript].self, from: Data(answer.output)) { return scripts }
        guard let failure = try? JSONDecoder().decode(Failure.self, from: Data(answer.output)) else {
            throw Failure(reason: "the probe that reads it ended without an answer")
        }
        throw failure
    }

    /// Why nothing can be read.
    struct Failure: Error, Codable, Equatable {
        let reason: String
    }
}
