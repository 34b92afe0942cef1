import Environment
import Glibc
import LinuxKit

/// Who runs a script: what setuid(2) and setgroups(2) need, and what a login would set.
struct SetupUser: Codable, Equatable {
    var uid: UInt32
    var gid: UInt32
    /// Supplementary groups, the primary one included.
    var groups: [UInt32]
    var name: String
    var home: String
    var shell: String
}

/// The users and groups of the pod (passwd(5), group(5)).
struct Accounts {
    private struct Group {
        let name: String
        let gid: UInt32
        let members: [String]
    }

    private let users: [SetupUser]
    private let groups: [Group]

    init(passwd: String, group: String) {
        func lines(_ text: String) -> [[String]] {
            text.split(separator: "\n").map {
                $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            }
        }
        groups = lines(group).compactMap { fields in
            guard fields.count >= 4, let gid = UInt32(fields[2]) else { return nil }
            return Group(name: fields[0], gid: gid, members: fields[3].split(separator: ",").map(String.init))
        }
        let groups = groups
        users = lines(passwd).compactMap { fields in
            guard fields.count == 7, let uid = UInt32(fields[2]), let gid = UInt32(fields[3]) else { return nil }
            let more = groups.filter { $0.gid != gid && $0.members.contains(fields[0]) }.map(\.gid)
            return SetupUser(
                uid: uid, gid: gid, groups: [gid] + more, name: fields[0],
                home: fields[5].hasPrefix("/") ? fields[5] : "/", shell: fields[6].isEmpty ? "/bin/sh" : fields[6])
        }
    }

    /// This machine's.
    static func local() -> Accounts {
        Accounts(
            passwd: (try? LocalFile.readText("/etc/passwd")) ?? "", group: (try? LocalFile.readText("/etc/group")) ?? ""
        )
    }

    /// The user of an id. One that has no entry gets the group of the same number, as `useradd` makes them: the file's own
    /// group may be anything in a set-group-ID directory.
    func user(_ uid: UInt32) -> SetupUser {
        users.first { $0.uid == uid }
            ?? SetupUser(
                uid: uid, gid: uid, groups: [uid], name: uid == 0 ? "root" : "\(uid)", home: uid == 0 ? "/root" : "/",
                shell: "/bin/sh")
    }

    /// The user that a configuration names, by name or number; nil when there is none of that name.
    func user(named text: String) -> SetupUser? {
        users.first { $0.name == text } ?? UInt32(text).map(user) ?? (text == "root" ? user(0) : nil)
    }

    /// Whether a group is a user's own: the user's primary one, with nobody else in it.
    func isOwn(group gid: UInt32, of uid: UInt32) -> Bool {
        let owner = user(uid)
        let members = groups.filter { $0.gid == gid }.flatMap(\.members)
        return owner.gid == gid && !users.contains { $0.gid == gid && $0.uid != uid }
            && members.allSatisfy { $0 == owner.name }
    }
}

/// Takes the rights of another user on files for the moments in which root is not enough: a server that maps root to
/// nobody (exports(5), root_squash) lets only the owner read a private file.
///
/// For one-purpose child processes only: the effective ids are those of the whole process (seteuid(2)).
enum FileRights {
    /// Does `body`; when permission is missing and this is root, once more as `uid`.
    static func trying<R: ~Copyable>(as uid: UInt32, _ body: () throws(LinuxError) -> R) throws(LinuxError) -> R {
        do throws(LinuxError) { return try body() } catch {
            guard error.code == EACCES || error.code == EPERM, become(uid) else { throw error }
            defer { becomeRoot() }
            return try body()
        }
    }

    /// Takes a user's rights until ``becomeRoot()``; false when this is not root, or may not.
    static func become(_ uid: UInt32) -> Bool {
        guard geteuid() == 0, uid != 0 else { return false }
        guard setegid(Accounts.local().user(uid).gid) == 0, seteuid(uid) == 0 else {
            _ = setegid(0)
            return false
        }
        return true
    }

    /// Root again; where that failed the private copy could not be made, and the caller would be told so.
    static func becomeRoot() {
        _ = seteuid(0)
        _ = setegid(0)
    }
}
