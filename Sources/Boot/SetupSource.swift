import FoundationEssentials
import Glibc
import LinuxKit

/// Takes the scripts off the volume, in the child: each is opened once, checked on the descriptor that is read, and copied,
/// so that nobody can change it between check and run, and a volume that stalls cannot stall the shell in the middle.
struct SetupSource: ~Copyable {
    private let request: SetupRequest
    private let root: Descriptor
    private let opening: VolumeOpening
    private let rules: SetupRules

    /// The most scripts that `setup.d` may hold.
    static let most = 256

    /// `setup-read REQUEST`: writes the scripts as JSON, or why none can be read.
    static func main(_ arguments: [String]) -> Int32 {
        guard arguments.count == 1,
            let request = try? JSONDecoder().decode(SetupRequest.self, from: Data(arguments[0].utf8))
        else { return 64 }
        var answer: Data?
        do {
            answer = try JSONEncoder().encode(try SetupSource(request).scripts())
        } catch let failure as SetupRequest.Failure {
            answer = try? JSONEncoder().encode(failure)
        } catch {
            answer = try? JSONEncoder().encode(SetupRequest.Failure(reason: "\(error)"))
        }
        guard let answer else { return 1 }
        return (try? Descriptor(owning: dup(1)).writeAll(answer)) == nil ? 1 : 0
    }

    /// - Throws: ``SetupRequest/Failure`` when the volume cannot be opened or is another one.
    init(_ request: SetupRequest) throws {
        let mountPoint = request.mountPoint
        let outside = try FileStatus(mountPoint, mode: .follow)
        let opened = try FileRights.trying(as: outside.uid) { () throws(LinuxError) in
            try Descriptor(opening: mountPoint, O_RDONLY | O_DIRECTORY)
        }
        let volume = try FileStatus(descriptor: opened.number)
        if let expected = request.mountID, let found = volume.mountID, found != expected {
            throw SetupRequest.Failure(reason: "the volume is no longer mounted at \(mountPoint)")
        }
        opening = VolumeOpening(root: opened.number, owner: volume.uid, way: request.way)
        root = opened
        rules = SetupRules(
            volume: volume, owners: request.owners, isStrict: request.isStrict, accounts: .local())
        self.request = request
    }

    /// The scripts in the order in which they run: `setup.sh`, then `setup.d/*.sh` by the bytes of their names.
    func scripts() throws -> [SetupScript] {
        var scripts: [SetupScript] = []
        if let script = try script(Array(request.script.utf8)) { scripts.append(script) }
        if !request.directory.isEmpty { scripts += try directory(Array(request.directory.utf8)) }
        return scripts
    }

    // MARK: setup.d

    private func directory(_ path: [UInt8]) throws -> [SetupScript] {
        let shown = TerminalText.escape(bytes: path)
        do {
            let handle = try opening.open(path)
            let status = try FileStatus(descriptor: handle.number)
            if status.kind == .symbolicLink { return [.refused(shown, SetupRules.link)] }
            guard status.kind == .directory else {
                return [.refused(shown, "is not a directory; put scripts into a directory of that name")]
            }
            let names = try FileRights.trying(as: status.uid) { () throws(LinuxError) in
                Self.names(try VolumeOpening.reopen(handle, O_RDONLY | O_DIRECTORY))
            }
            guard names.count <= Self.most else {
                return [.refused(shown, "holds \(names.count) scripts, more than \(Self.most); start some from others")]
            }
            return try names.sorted { $0.lexicographicallyPrecedes($1) }.compactMap {
                try script(path + [UInt8(ascii: "/")] + $0)
            }
        } catch let refusal as VolumeOpening.Refusal {
            guard let reason = Self.reason(refusal) else { return [] }
            return [.refused(shown, reason)]
        } catch let error as LinuxError {
            return [.refused(shown, "cannot be read: \(error)")]
        }
    }

    /// The names that end in `.sh` and are not hidden.
    private static func names(_ directory: borrowing Descriptor) -> [[UInt8]] {
        // The stream owns its descriptor.
        guard let stream = fdopendir(dup(directory.number)) else { return [] }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: UInt8.self, capacity: 256) {
                    Array(
                        UnsafeBufferPointer(
                            start: $0, count: strlen(UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))))
                }
            }
            if name.first != UInt8(ascii: "."), name.count > 3, name.suffix(3).elementsEqual(".sh".utf8) {
                names.append(name)
            }
        }
        return names
    }

    // MARK: One script

    private func script(_ path: [UInt8]) throws -> SetupScript? {
        let shown = TerminalText.escape(bytes: path)
        do {
            let file = try opening.open(path)
            // Before it is opened for reading: a device or a FIFO would do something then.
            let seen = try FileStatus(descriptor: file.number)
            if let reason = rules.objection(to: seen) { return .refused(shown, reason) }
            let (status, bytes) = try FileRights.trying(as: seen.uid) { () throws(LinuxError) in
                let contents = try VolumeOpening.reopen(file, O_RDONLY | O_NONBLOCK | O_NOCTTY)
                let status = try FileStatus(descriptor: contents.number)
                return (status, try contents.readToEnd(limit: SetupScript.sizeLimit + 1))
            }
            if let reason = rules.objection(to: status) { return .refused(shown, reason) }
            if bytes.count > SetupScript.sizeLimit { return .refused(shown, "grew beyond 1 MiB while it was read") }
            let doubts = try doubts(above: path)
            if rules.isStrict, let doubt = doubts.first {
                return .refused(shown, "is refused by setup.strict: \(doubt)")
            }
            return try take(bytes, status, shown, doubts)
        } catch let refusal as VolumeOpening.Refusal {
            guard let reason = Self.reason(refusal) else { return nil }
            return .refused(shown, reason)
        } catch let error as LinuxError {
            return .refused(shown, "cannot be read: \(error)")
        }
    }

    /// What is wrong with the directories above a script, the volume's root first.
    private func doubts(above path: [UInt8]) throws -> [String] {
        var doubts = rules.doubt(about: rules.volume, name: request.mountPoint).map { [$0] } ?? []
        let parts = path.split(separator: UInt8(ascii: "/"))
        for count in 1..<max(parts.count, 1) {
            let parent = Array(parts[..<count].joined(separator: [UInt8(ascii: "/")]))
            let directory = try opening.open(parent)
            let status = try FileStatus(descriptor: directory.number)
            let name = request.mountPoint + "/" + TerminalText.escape(bytes: parent)
            if let doubt = rules.doubt(about: status, name: name) { doubts.append(doubt) }
        }
        return doubts
    }

    /// Makes the private copy and says who runs it, with what.
    private func take(_ bytes: [UInt8], _ status: FileStatus, _ shown: String, _ doubts: [String]) throws -> SetupScript
    {
        var warnings = doubts
        var user = rules.accounts.user(status.uid)
        if request.user != "owner" {
            guard let chosen = rules.accounts.user(named: request.user) else {
                return .refused(shown, "should run as \(request.user) (setup.user), which is no user of this pod")
            }
            user = chosen
        }
        let own = geteuid()
        if own != 0, user.uid != own {
            warnings.append("it runs as user \(own), not as \(user.name): the agent is not root")
            user = rules.accounts.user(own)
        }
        let (text, textWarnings) = SetupScript.text(of: bytes)
        let (interpreter, interpreterWarnings) = SetupScript.interpreter(of: text)
        var script = SetupScript(
            name: shown, finding: .ready, reason: nil, sha256: SHA256.hexadecimal(bytes), path: "",
            interpreter: interpreter, user: user, warnings: warnings + textWarnings + interpreterWarnings)
        if interpreter == ["/bin/bash"], access("/bin/bash", X_OK) != 0 { script.interpreter = ["/bin/sh"] }
        script.path = "\(request.copies)/\(script.sha256).\(user.uid).sh"
        // Others may pass, but neither list nor change what is in it; each copy is its user's alone.
        try AtomicFile.createDirectory(request.copies, mode: 0o711)
        try AtomicFile.write(text, to: script.path, mode: 0o500)
        if own == 0, lchown(script.path, user.uid, user.gid) != 0 {
            throw LinuxError("set owner of", script.path, code: errno)
        }
        return script
    }

    private static func reason(_ refusal: VolumeOpening.Refusal) -> String? {
        switch refusal {
        case .absent: nil
        case .link: SetupRules.link
        case .outside: "lies outside the volume; name a path on it"
        case .failed(let error): "cannot be read: \(error)"
        }
    }
}
