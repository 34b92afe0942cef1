import CLinux
import Environment
import FoundationEssentials
import Glibc
import LinuxKit

/// Takes the script off the volume: checked on the descriptor that is read, copied once, and only the copy is run, so that
/// nobody can change it between check and run, and a volume that stalls cannot stall the shell in the middle.
struct SetupScript: Codable, Equatable {
    /// What was found: `absent`, `refused` or `ready`.
    enum Finding: String, Codable { case absent, refused, ready }

    var finding: Finding
    var reason: String?
    var sha256 = ""
    /// The private copy.
    var path = ""
    /// What runs it, with its argument.
    var interpreter: [String] = []
    var warnings: [String] = []

    /// The largest script that is read.
    static let sizeLimit = 1 << 20

    /// The parent's side: asks a child, because the volume may not answer.
    static func fetch(
        _ script: String, from mountPoint: String, mountID: UInt64?, to directory: String, owners: [UInt32],
        probe: ProbeProgram,
        milliseconds: Int
    ) -> SetupScript {
        let arguments = [
            mountPoint, mountID.map { "\($0)" } ?? "-", script, directory,
            owners.map { "\($0)" }.joined(separator: ","),
        ]
        do {
            let answer = try probe.run("setup-read", arguments, milliseconds: milliseconds)
            if answer.timedOut {
                return SetupScript(finding: .refused, reason: "the volume did not answer within \(milliseconds) ms")
            }
            return try JSONDecoder().decode(SetupScript.self, from: Data(answer.output))
        } catch let error as LinuxError {
            return SetupScript(finding: .refused, reason: error.description)
        } catch {
            return SetupScript(finding: .refused, reason: "the probe that reads it ended without an answer")
        }
    }

    /// The child's side: `setup-read MOUNT-POINT MOUNT-ID|- SCRIPT DIRECTORY UID,...`. Writes the finding as JSON.
    static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count == 5 else { return 64 }
        let owners = arguments[4].split(separator: ",").compactMap { UInt32($0) }
        let found = read(
            arguments[2], from: arguments[0], mountID: UInt64(arguments[1]), to: arguments[3], owners: owners)
        guard let bytes = try? JSONEncoder().encode(found) else { return 1 }
        return (try? Descriptor(owning: dup(1)).writeAll(bytes)) == nil ? 1 : 0
    }

    static func read(
        _ script: String, from mountPoint: String, mountID: UInt64?, to directory: String, owners: [UInt32]
    ) -> SetupScript {
        do {
            let root = try Descriptor(opening: mountPoint, O_RDONLY | O_DIRECTORY)
            let volume = try FileStatus(descriptor: root.number)
            if let mountID, let found = volume.mountID, found != mountID {
                return SetupScript(finding: .refused, reason: "the volume is no longer mounted at \(mountPoint)")
            }
            // O_NONBLOCK: opening a FIFO must not wait for a writer.
            let opened = open(script, beneath: root.number)
            if opened == -ENOENT { return SetupScript(finding: .absent, reason: "there is no \(script) on the volume") }
            if opened == -ELOOP {
                return SetupScript(finding: .refused, reason: "\(script) is or goes through a symbolic link")
            }
            if opened == -EXDEV { return SetupScript(finding: .refused, reason: "\(script) lies outside the volume") }
            if opened < 0 { throw LinuxError("open", script, code: -opened) }
            let file = Descriptor(owning: opened)
            let status = try FileStatus(descriptor: file.number)
            if let reason = objection(to: status, volume: volume, owners: owners) {
                return SetupScript(finding: .refused, reason: "\(script) \(reason)")
            }
            let bytes = try file.readToEnd(limit: sizeLimit + 1)
            if bytes.count > sizeLimit {
                return SetupScript(finding: .refused, reason: "\(script) is larger than 1 MiB")
            }
            let hash = SHA256.hexadecimal(bytes)
            let copy = "\(directory)/\(hash).sh"
            try AtomicFile.createDirectory(directory, mode: 0o700)
            try AtomicFile.write(bytes, to: copy, mode: 0o500)
            var (interpreter, warnings) = Self.interpreter(of: bytes)
            if interpreter == ["/bin/bash"], access("/bin/bash", X_OK) != 0 { interpreter = ["/bin/sh"] }
            if volume.permissions & 0o1002 == 0o002 {
                warnings.append("the volume's root can be written by everybody, who could replace \(script)")
            }
            return SetupScript(
                finding: .ready, reason: nil, sha256: hash, path: copy, interpreter: interpreter, warnings: warnings)
        } catch let error as LinuxError {
            return SetupScript(finding: .refused, reason: error.description)
        } catch {
            return SetupScript(finding: .refused, reason: "\(error)")
        }
    }

    /// Opens without following any link, magic link or `..` out of the volume: openat2(2), or the same by hand where a
    /// sandbox hides it.
    private static func open(_ script: String, beneath root: Int32) -> Int32 {
        let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK
        // RESOLVE_NO_XDEV 1, NO_MAGICLINKS 2, NO_SYMLINKS 4, BENEATH 8 (linux/openat2.h).
        let result = clinux_openat2(root, script, UInt64(flags), 0, 1 | 2 | 4 | 8)
        guard result == -ENOSYS || result == -EPERM else { return result }
        let parts = script.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard !parts.contains(where: { $0.isEmpty || $0 == ".." }), let last = parts.last else { return -EXDEV }
        var current = dup(root)
        for part in parts.dropLast() {
            let next = openat(current, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            let code = errno
            close(current)
            if next < 0 { return code == ENOTDIR ? -ELOOP : -code }
            current = next
        }
        defer { close(current) }
        let file = openat(current, last, flags | O_CLOEXEC)
        return file < 0 ? -errno : file
    }

    /// Why a file must not be run, nil when it may.
    static func objection(to file: FileStatus, volume: FileStatus, owners: [UInt32]) -> String? {
        if file.kind != .regular { return "is not a regular file" }
        guard file.uid == 0 || file.uid == volume.uid || owners.contains(file.uid) else {
            return
                "belongs to user \(file.uid), who is neither root nor the volume's owner; add it to setup.allowed_owners or chown it"
        }
        if file.permissions & 0o022 != 0 { return "can be written by its group or by everybody; run chmod go-w on it" }
        if file.links != 1 { return "has \(file.links) names; a hard link may lead to somebody else's file" }
        if file.size > UInt64(sizeLimit) { return "is larger than 1 MiB" }
        return nil
    }

    /// What runs a script: its `#!` line (execve(2): one path, one argument), else bash.
    static func interpreter(of script: [UInt8]) -> (interpreter: [String], warnings: [String]) {
        var warnings: [String] = []
        if script.contains(UInt8(ascii: "\r")) && String(decoding: script, as: UTF8.self).contains("\r\n") {
            warnings.append("the script has Windows line ends (CRLF); the shell takes them as part of each command")
        }
        let line = script.prefix { $0 != UInt8(ascii: "\n") }
        guard line.starts(with: "#!".utf8) else {
            return (["/bin/bash"], warnings + ["the script has no #! line; it is run with /bin/bash"])
        }
        let text = String(decoding: line.dropFirst(2).filter { $0 != UInt8(ascii: "\r") }, as: UTF8.self)
        let parts = text.split(maxSplits: 1, whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
        guard let program = parts.first, program.hasPrefix("/") else {
            return (["/bin/bash"], warnings + ["the #! line names no absolute path; the script is run with /bin/bash"])
        }
        let argument =
            parts.dropFirst().first.map { String($0.reversed().drop { $0 == " " || $0 == "\t" }.reversed()) } ?? ""
        return ([program] + (argument.isEmpty ? [] : [argument]), warnings)
    }
}
