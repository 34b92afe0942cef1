import FoundationEssentials
import Glibc
import LinuxKit

extension StorageProbe {
    /// The child's side: `packet-agent probe QUESTION PATH [--proc DIRECTORY]`. Prints one line of JSON.
    ///
    /// Call it before anything else starts: it has no threads, and may hang for ever.
    ///
    /// - Parameter arguments: what follows `probe` on the command line.
    /// - Returns: the exit status: 0 with an answer (which may be an error number of the file system), 64 for wrong usage.
    public static func main(arguments: [String]) -> Int32 {
        guard let answer = answer(arguments: arguments), var line = try? Array(JSONEncoder().encode(answer)) else {
            let usage = Array(
                "usage: packet-agent probe statfs|resolve|examine PATH [--proc DIRECTORY] [--lease|--look BASE64] [--attachment BASE64]\n"
                    .utf8)
            _ = write(2, usage, usage.count)
            return 64
        }
        line.append(UInt8(ascii: "\n"))
        return write(1, line, line.count) == line.count ? 0 : 2
    }

    /// What the child finds; nil for wrong usage.
    static func answer(arguments: [String]) -> ProbeAnswer? {
        var arguments = arguments[...]
        guard let question = arguments.popFirst(), let path = arguments.popFirst().map(ProbePath.decode) else {
            return nil
        }
        var procRoot = "/proc"
        var lease: VolumeLease?
        var renews = true
        var attachment: VolumeAttachment?
        func decode<T: Decodable>(_ value: String) -> T? {
            Data(base64Encoded: value).flatMap { try? JSONDecoder().decode(T.self, from: $0) }
        }
        while let option = arguments.popFirst() {
            guard let value = arguments.popFirst() else { return nil }
            switch option {
            case "--proc": procRoot = value
            case "--lease", "--look":
                lease = decode(value)
                renews = option == "--lease"
            case "--attachment": attachment = decode(value)
            default: return nil
            }
        }
        switch question {
        case "statfs": return space(of: path)
        case "resolve": return target(of: path, procRoot: procRoot)
        case "examine":
            guard let lease, let volume = path.text else { return nil }
            var result = ProbeAnswer()
            result.examination = VolumeExaminer(
                volume: volume, lease: lease, attachment: attachment, renews: renews
            ).examine()
            return result
        default: return nil
        }
    }

    private static func space(of path: BytePath) -> ProbeAnswer {
        var result = ProbeAnswer()
        var status = statvfs()
        let code = path.withCString { statvfs($0, &status) == 0 ? 0 : errno }
        guard code == 0 else {
            result.errorNumber = code
            return result
        }
        let unit = UInt64(status.f_frsize > 0 ? status.f_frsize : status.f_bsize)
        // A file system that cannot say (procfs, some FUSE programs) answers 0 blocks in all.
        if status.f_blocks > 0 {
            result.sizeBytes = UInt64(status.f_blocks) &* unit
            result.usedBytes = UInt64(status.f_blocks &- min(status.f_bfree, status.f_blocks)) &* unit
            result.availableBytes = UInt64(status.f_bavail) &* unit
        }
        if status.f_files > 0 { result.freeFiles = UInt64(status.f_ffree) }
        result.writable = path.withCString { faccessat(FileStatus.currentDirectory, $0, W_OK, AT_EACCESS) == 0 }
        return result
    }

    private static func target(of path: BytePath, procRoot: String) -> ProbeAnswer {
        var result = ProbeAnswer()
        guard let table = try? MountTable.read(procRoot: procRoot).table else {
            result.errorNumber = ENOENT
            return result
        }
        do throws(PathResolution.Failure) {
            let resolution = try PathResolution(of: path, relativeTo: .root, in: table, reach: .everywhere)
            result.resolved = Data(resolution.resolved.bytes).base64EncodedString()
            result.exists = resolution.exists
            result.existing = Data(resolution.existing.bytes).base64EncodedString()
            result.hops = resolution.hops.map { [$0.link, $0.target].map { Data($0.bytes).base64EncodedString() } }
        } catch {
            result.errorNumber = ELOOP
        }
        return result
    }
}
