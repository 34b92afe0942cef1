import AtRisk
import Glibc
import LinuxKit
import Storage
import Synchronization
import Testing

@testable import Transfer

/// A directory with a source, a volume and a reference copy, removed with everything in it.
final class Scratch: Sendable {
    let path: BytePath
    var source: BytePath { path.appending("pod/proj") }
    var volume: BytePath { path.appending("volume") }
    var destination: BytePath { path.appending("volume/code/proj") }

    /// - Parameter script: makes the source, in it as the working directory.
    init(_ script: String) throws {
        var template = Array("/var/tmp/packet-agent-move.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw LinuxError("create", "/var/tmp", code: errno) }
        path = BytePath(bytes: template.dropLast().map { UInt8(bitPattern: $0) })
        try sh("chmod 755 .; mkdir -p pod/proj volume; cd pod/proj; \(script)")
    }

    deinit { _ = try? sh("chmod -R u+rwX . 2> /dev/null; cd /; rm -rf \(path)") }

    /// Runs commands in the scratch directory and gives what they printed.
    @discardableResult
    func sh(_ script: String, status: Int32 = 0, sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        let captured = try ChildProcess.capture(
            .init(
                executable: "/bin/bash", arguments: ["-c", "exec 2>&1; set -e; cd \(path); \(script)"],
                environment: ["PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"]),
            limit: 64 << 20, milliseconds: 300_000)
        let text = String(decoding: captured.output, as: UTF8.self)
        #expect(captured.termination?.shellStatus == status, "\(script)\n\(text)", sourceLocation: sourceLocation)
        return text
    }

    /// Everything that a copy has to keep, as other programs see it.
    func contents(_ directory: BytePath) throws -> String {
        try sh(
            #"""
            cd \#(directory)/.
            find . \( -type d -printf '%P\t%y %m %U %G %T@\n' -o -type l -printf '%P\t%y %U %G %T@ %l\n' \
                -o -printf '%P\t%y %m %U %G %s %T@ %n\n' \) | sort
            find . -type f -links +1 -printf '%i %P\n' | sort | awk '{ n[$1] = n[$1] " " $2 } END { for (i in n) print n[i] }' | sort
            find . -type f -print0 | sort -z | xargs -r0 sha256sum
            getfattr -dR -m - . 2> /dev/null | sort
            """#)
    }

    func move(
        copy: Bool = false, merges: Bool = false, to destination: BytePath? = nil, from source: BytePath? = nil,
        _ change: (inout TransferOptions) -> Void = { _ in }
    ) -> TreeMove {
        var options = TransferOptions(writers: { _ in [] })
        options.threads = 3
        change(&options)
        return TreeMove(
            source: source ?? self.source, destination: destination ?? self.destination,
            volume: TransferVolume(mountPoint: volume), leavesLink: !copy, merges: merges, options: options)
    }

    /// What a move fails with.
    func failure(_ move: TreeMove, sourceLocation: SourceLocation = #_sourceLocation) -> TransferError? {
        do {
            let result = try move.run()
            Issue.record("no failure: \(result)", sourceLocation: sourceLocation)
            return nil
        } catch {
            return error
        }
    }

    /// All names below the volume and beside the source that a finished move must not leave.
    func leftovers() throws -> String { try sh("find . -name '.*packet-*' -o -name '*.new'") }
}

/// The program that moves by the same engine and can kill itself.
let transferProgram: String = {
    // The bundle of the tests lies beside the products.
    let own = (try? LocalFile.linkTarget("/proc/self/exe")).map { String(decoding: $0, as: UTF8.self) } ?? ""
    for argument in CommandLine.arguments + [own] {
        guard let slash = argument.lastIndex(of: "/") else { continue }
        let path = argument[..<slash] + "/transfer"
        if access(String(path), X_OK) == 0 { return String(path) }
    }
    return ""
}()

/// True when this process may make mount namespaces.
let mayMount: Bool =
    geteuid() == 0
    && (try? ChildProcess.capture(
        .init(
            executable: "/usr/bin/unshare", arguments: ["-m", "/bin/mount", "-t", "tmpfs", "t", "/mnt"],
            environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]), milliseconds: 30_000))?.termination == .exited(0)
