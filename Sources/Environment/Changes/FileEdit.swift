/// What one file should be like while a layer is in.
public struct FileEdit: Sendable, Equatable {
    /// What is wanted.
    public enum Content: Sendable, Equatable {
        /// Our lines between marks in a file that others own too; `#` must begin a comment in its language.
        case block([UInt8], at: MarkedBlock.Position)
        /// A whole file. One that somebody else made is left alone.
        case whole([UInt8])
        /// A symbolic link to this absolute path, where nothing or an empty directory is.
        case link(String)
        /// A whole file in the agent's own runtime directory, which nobody else writes: not journaled.
        case own([UInt8])
    }

    /// Absolute path.
    public let path: String
    /// The directory that symbolic links on the way must not leave; the path lies in it.
    public let tree: String
    /// What is wanted.
    public let content: Content
    /// Permissions of a file that is made; one that exists keeps its own.
    public let mode: UInt32
    /// The owner of links and directories that are made; nil for the caller.
    public let owner: UInt32?

    /// Describes a file.
    public init(_ path: String, in tree: String, _ content: Content, mode: UInt32 = 0o644, owner: UInt32? = nil) {
        self.path = path
        self.tree = tree
        self.content = content
        self.mode = mode
        self.owner = owner
    }
}

/// A file that changes, for `--dry-run` and reports.
public struct FileChange: Sendable, Equatable {
    /// Its path, links resolved.
    public let path: String
    /// The id of the layer that wants it; nil when it is taken back.
    public let layer: String?
    /// Its contents now; nil when there is none. A link is shown as a line `link to TARGET`.
    public let old: [UInt8]?
    /// Its contents then; nil when it is removed.
    public let new: [UInt8]?
}

/// Something that is left as it is, and why.
public struct LeftAlone: Sendable, Equatable, CustomStringConvertible {
    /// A path, or a variable in a layer.
    public let subject: String
    /// One sentence for people.
    public let reason: String
    /// True when something failed or was edited by hand; false when nothing is wrong with leaving it.
    public let isProblem: Bool

    /// Names it.
    public init(_ subject: String, _ reason: String, isProblem: Bool = false) {
        self.subject = subject
        self.reason = reason
        self.isProblem = isProblem
    }

    /// `SUBJECT: REASON`.
    public var description: String { "\(subject): \(reason)" }
}
