public import Environment
import Glibc
import LinuxKit

/// The scripts' output.
///
/// They write into a pipe; a child reads it into a local log of limited size. The child lives as long as anybody holds the
/// pipe, so that services which a script leaves in the background never meet a closed pipe, whatever happens to the agent.
enum SetupLog {
    /// The child's side: `setup-log FILE LIMIT UID|-`. Copies standard input into FILE.
    static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count == 3, let limit = Int(arguments[1]) else { return 64 }
        // A script that fills the disk must not end the reader.
        signal(SIGXFSZ, SIG_IGN)
        do {
            var log = try RotatingLog(arguments[0], limit: limit, owner: UInt32(arguments[2]))
            copy(from: 0, to: &log)
            return 0
        } catch {
            // The output is read in any case: a closed pipe would end the script.
            var buffer = [UInt8](repeating: 0, count: 65536)
            while true {
                let count = read(0, &buffer, buffer.count)
                if count == 0 || count < 0 && errno != EINTR { return 1 }
            }
        }
    }

    /// Copies until the end of the input.
    static func copy(from input: Int32, to log: inout RotatingLog) {
        var filter = ProgressFilter()
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(input, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            let kept = filter.pass(buffer[0..<count], at: monotonic())
            if kept.isEmpty { log.touch() } else { log.write(kept) }
        }
        log.write(filter.finish())
    }

    private static func monotonic() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Both files of a log, the older one first.
    static func files(_ log: String) -> [String] { [log + ".1", log] }

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
            var contents: [UInt8] = []
            for file in files(arguments[0]) { contents += (try? LocalFile.read(file, limit: 1 << 30)) ?? [] }
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
    ///
    /// - Throws: ``LinuxError`` when it may not be read; one that does not exist has no lines.
    static func tail(_ path: String, lines: Int) throws(LinuxError) -> [String] {
        var text: [UInt8] = []
        for file in files(path) {
            do throws(LinuxError) {
                let log = try Descriptor(opening: file, O_RDONLY | O_NOFOLLOW)
                // As much as a terminal can want, whatever the limit of the log is.
                lseek(log.number, max(0, lseek(log.number, 0, SEEK_END) - tailBytes), SEEK_SET)
                text += try log.readToEnd(limit: tailBytes)
            } catch {
                if error.code != ENOENT { throw error }
            }
        }
        return Array(self.lines(text).suffix(lines))
    }

    private static let tailBytes = 1 << 20

    /// Each state of a line that is drawn again counts as one.
    static func lines(_ text: [UInt8]) -> [String] {
        text.split(whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }).map {
            TerminalText.escape(bytes: $0)
        }
    }
}

extension ProbeProgram {
    /// The probes of this room by name, for the `probe` command.
    public static let bootProbes: [(name: String, main: @Sendable ([String]) -> Int32)] = [
        ("setup-read", { SetupSource.main($0) }),
        ("setup-exec", { SetupLaunch.main($0) }),
        ("setup-log", { SetupLog.main($0) }),
        ("setup-keep-log", { SetupLog.keepMain($0) }),
    ]
}
