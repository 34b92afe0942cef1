import LinuxKit

/// Whose scripts are run: what a descriptor says of the file and of the directories above it.
struct SetupRules {
    /// The volume's root.
    let volume: FileStatus
    /// `setup.allowed_owners`.
    let owners: [UInt32]
    /// `setup.strict`.
    let isStrict: Bool
    let accounts: Accounts

    /// Why a file must not be run and how to mend that, continuing its name; nil when it may be.
    func objection(to file: FileStatus) -> String? {
        switch file.kind {
        case .regular: break
        case .symbolicLink: return Self.link
        default: return "is not a regular file; put a script in its place"
        }
        guard file.uid == 0 || file.uid == volume.uid || owners.contains(file.uid) else {
            let nobody =
                file.uid == 65534 ? " (nobody: the server may give root's files to it, root_squash in exports(5))" : ""
            return
                "belongs to user \(file.uid)\(nobody), who is neither root nor the volume's owner \(volume.uid); add \(file.uid) to setup.allowed_owners, or chown the script to \(volume.uid)"
        }
        if file.permissions & 0o002 != 0 { return "can be written by everybody; run chmod o-w on it" }
        if file.permissions & 0o020 != 0, !accounts.isOwn(group: file.gid, of: file.uid) {
            return
                "can be written by group \(file.gid), which is not user \(file.uid)'s own; run chmod g-w on it"
        }
        if file.permissions & 0o6000 != 0 {
            return "is set-user-ID or set-group-ID, which no script may be; run chmod ug-s on it"
        }
        if file.links != 1 {
            return
                "has \(file.links) names; a hard link may lead to somebody else's file: copy it and put the copy in its place"
        }
        if file.size > UInt64(SetupScript.sizeLimit) {
            return "is larger than 1 MiB; let a short script start what is in another file"
        }
        return nil
    }

    static let link = "is or goes through a symbolic link; put the script itself there"

    /// What is wrong with a directory above the script: who may write there can put another one in its place.
    func doubt(about directory: FileStatus, name: String) -> String? {
        // In a sticky directory nobody replaces the files of others.
        if directory.permissions & 0o1000 != 0 { return nil }
        if directory.permissions & 0o002 != 0 {
            return
                "\(name) can be written by everybody, who could replace the script: run chmod o-w, or chmod +t, on it"
        }
        if directory.permissions & 0o020 != 0, !accounts.isOwn(group: directory.gid, of: directory.uid) {
            return
                "\(name) can be written by group \(directory.gid), which could replace the script: run chmod g-w, or chmod +t, on it"
        }
        guard directory.uid == 0 || directory.uid == volume.uid || owners.contains(directory.uid) else {
            return "\(name) belongs to user \(directory.uid), who could replace the script: chown it to \(volume.uid)"
        }
        return nil
    }
}
