import ControlPlaneAPI
import FoundationEssentials
import Glibc
import LinuxKit
import Logging
import Synchronization

/// The hashes of the teams' tokens, kept in one file that only its owner can read, and read again when it changes.
final class TokenFile: Sendable {
    struct Entry: Sendable, Equatable, Codable {
        var id: String
        var team: String
        var sha256: String
        var createdAt: Timestamp

        enum CodingKeys: String, CodingKey {
            case id, team, sha256
            case createdAt = "created_at"
        }
    }

    struct Problem: Error, CustomStringConvertible { let description: String }

    private struct State {
        var entries: [String: Entry]
        var stamp: Stamp?
    }
    private struct Stamp: Equatable {
        var inode: UInt64
        var size: UInt64
        var modified: FileStatus.Time
        var permissions: UInt32
    }
    private struct Contents: Codable { var tokens: [Entry] }

    private let path: String
    private let logger: Logger
    private let state: Mutex<State>

    init(path: String, logger: Logger) throws {
        self.path = path
        self.logger = logger
        let entries = try Self.read(path)
        state = Mutex(State(entries: Self.index(entries), stamp: Self.stamp(path)))
    }

    /// The team that a token belongs to.
    func team(of secret: Secret) -> String? {
        let entry = state.withLock { state -> Entry? in
            reloadIfChanged(&state)
            return state.entries[secret.id]
        }
        guard let entry, secret.kind == .team, secret.matches(sha256: entry.sha256) else { return nil }
        return entry.team
    }

    // A file that became unreadable or malformed leaves the tokens as they were: half an edit must not lock everybody out.
    private func reloadIfChanged(_ state: inout State) {
        let stamp = Self.stamp(path)
        guard stamp != state.stamp else { return }
        state.stamp = stamp
        do { state.entries = Self.index(try Self.read(path)) } catch {
            logger.error("the token file is not used as it is now", metadata: ["error": "\(error)"])
        }
    }

    private static func index(_ entries: [Entry]) -> [String: Entry] {
        Dictionary(entries.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    private static func stamp(_ path: String) -> Stamp? {
        guard let status = try? FileStatus(path, mode: .follow) else { return nil }
        return Stamp(
            inode: status.inode, size: status.size, modified: status.modified, permissions: status.permissions)
    }

    static func read(_ path: String) throws -> [Entry] {
        let file = try Descriptor(opening: path, O_RDONLY | O_CLOEXEC)
        let status = try FileStatus(descriptor: file.number)
        guard status.kind == .regular else { throw Problem(description: "\(path) is not a regular file") }
        guard status.permissions & 0o077 == 0 else {
            throw Problem(
                description:
                    "\(path) can be read or written by others than its owner: run 'chmod 600 \(path)' and make new tokens"
            )
        }
        do {
            return try JSONDecoder().decode(Contents.self, from: Data(try file.readToEnd(limit: 16 << 20))).tokens
        } catch let error as DecodingError {
            throw Problem(description: "\(path) is not a token file: \(Decoding.reason(error))")
        }
    }

    static func write(_ entries: [Entry], to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try AtomicFile.write(Array(try encoder.encode(Contents(tokens: entries))) + [0x0a], to: path, mode: 0o600)
    }

    static func isValid(team: String) -> Bool { SharedVolume.isValid(name: team) }
}
