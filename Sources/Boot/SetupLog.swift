public import Environment
import Glibc
import LinuxKit

/// The script's output.
///
/// The script writes into a pipe; a child reads it into a local file up to a limit and throws the rest away. The child
/// lives as long as anybody holds the pipe, so that services which the script leaves in the background never meet a closed
/// pipe, whatever happens to the agent.
enum SetupLog {
    /// The child's side: `setup-log FILE LIMIT`. Copies standard input into FILE.
    static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count == 2, let limit = Int(arguments[1]) else { return 64 }
        // A script that fills the disk must not end the reader.
        signal(SIGXFSZ, SIG_IGN)
        guard let log = try? Descriptor(opening: arguments[0], O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, mode: 0o640)
        else { return 1 }
        copy(from: 0, to: log.number, limit: limit)
        return 0
    }

    /// Copies until the end of the input; what goes beyond the limit is read and dropped.
    static func copy(from input: Int32, to log: Int32, limit: Int) {
        var left = limit
        var told = false
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(input, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return }
            let kept = min(count, left)
            if kept > 0 { write(buffer[0..<kept], to: log) }
            left -= kept
            if kept < count && !told {
                told = true
                write(Array("\n[packet-agent: output beyond \(limit) bytes is not kept]\n".utf8)[...], to: log)
            }
        }
    }

    private static func write(_ bytes: ArraySlice<UInt8>, to log: Int32) {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(log, $0.baseAddress, $0.count) }
            // A full disk loses output, not the script.
            if count < 0 && errno != EINTR { return }
            if count > 0 { rest = rest.dropFirst(count) }
        }
    }

    /// How many logs are kept on the volume.
    static let keptLogs = 50

    /// Copies a finished log to the volume, in a child with a deadline; nil when it is there, else why not.
    static func keep(
        _ log: String, on mountPoint: String, mountID: UInt64?, name: String, probe: ProbeProgram, milliseconds: Int
    ) -> String? {
        let directories: [VolumeDirectory] = [.private(".packet/logs", uid: geteuid())]
        if case .failed(let reason) = VolumeDirectories.make(
            directories, at: mountPoint, mountID: mountID, probe: probe, milliseconds: milliseconds)[0]
        {
            return reason
        }
        do {
            let answer = try probe.run("setup-keep-log", [log, mountPoint, name], milliseconds: milliseconds)
            if answer.timedOut { return "the volume did not answer within \(milliseconds) ms" }
            if answer.termination == .exited(0) { return nil }
            let text = String(decoding: answer.output, as: UTF8.self)
            return text.isEmpty ? "the probe ended without an answer" : text
        } catch {
            return error.description
        }
    }

    /// The child's side: `setup-keep-log LOG MOUNT-POINT NAME`. Writes what failed.
    static func keepMain(_ arguments: [String]) -> Int32 {
        guard arguments.count == 3, !arguments[2].contains("/") else { return 64 }
        let directory = arguments[1] + "/.packet/logs"
        do {
            let folder = try Descriptor(opening: directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            let contents = try LocalFile.read(arguments[0], limit: 64 << 20)
            let number = openat(
                folder.number, arguments[2], O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
            guard number >= 0 else { throw LinuxError("create", directory + "/" + arguments[2], code: errno) }
            let copy = Descriptor(owning: number)
            try copy.writeAll(contents)
            try copy.sync()
            // Names hold the time, so the oldest sort first.
            let logs = names(directory).filter { $0.hasPrefix("setup-") && $0.hasSuffix(".log") }.sorted()
            for old in logs.dropLast(keptLogs) { unlinkat(folder.number, old, 0) }
            return 0
        } catch let error as LinuxError {
            print(error.description, terminator: "")
        } catch {
            print("\(error)", terminator: "")
        }
        return 1
    }

    private static func names(_ path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafePointer(to: entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }

    /// The end of a log for people: its last lines, made safe for a terminal.
    static func tail(_ path: String, lines: Int) -> [String] {
        guard let log = try? Descriptor(opening: path, O_RDONLY) else { return [] }
        let size = lseek(log.number, 0, SEEK_END)
        lseek(log.number, max(0, size - 16384), SEEK_SET)
        let text = (try? log.readToEnd(limit: 16384)) ?? []
        return text.split(whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }).suffix(lines).map {
            TerminalText.escape(bytes: $0)
        }
    }
}

extension ProbeProgram {
    /// The probes of this room by name, for the `probe` command.
    public static let bootProbes: [(name: String, main: @Sendable ([String]) -> Int32)] = [
        ("setup-read", { SetupScript.main($0) }),
        ("setup-log", { SetupLog.main($0) }),
        ("setup-keep-log", { SetupLog.keepMain($0) }),
    ]
}
