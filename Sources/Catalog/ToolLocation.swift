/// Where a tool's data should live.
public enum Placement: String, Sendable, Equatable, CaseIterable {
    /// On the volume: few big files, written once.
    case direct
    /// On local disk, packed to the volume and put back: many small files, locks, memory maps or SQLite.
    case synced
    /// Readable by its user only (0600 in a 0700 directory), never in a directory that users share.
    case secret
    /// Where it is: cheap to lose, or harmful on a network file system.
    case local
}

/// One place in which a tool keeps data, and the tool's own rule for finding it.
///
/// The rule is the tool's, read in its source: which variable comes first, whether an empty value counts, what `~`,
/// `$VAR` and a relative path mean. So the answer is where the files really land, also when that is a mistake of the
/// user (`HF_HOME=""` makes a cache in the working directory).
public struct ToolLocation: Sendable {
    /// Stable name, for example `huggingface-hub`.
    public let id: String
    /// The name for people.
    public let title: String
    /// What the data is, in the words of the report on data at risk: `hf-hub`, `hf-datasets`, `pip-cache`, `secret`, ...;
    /// `other` for what cannot be told by its place alone.
    public let kind: String
    /// Where the data should live.
    public let placement: Placement
    /// The variables that move it, the one to set first. Empty when no variable does.
    public let variables: [String]
    /// Where it goes on a volume, relative to the volume's root; nil when it does not belong there.
    public let volumeSubdirectory: String?
    /// True when the agent never sets the variable although it would move the data: ``note`` says why.
    public let isLeftUnset: Bool
    /// True when the tool falls back to its default unless the directory exists, so that somebody must create it.
    public let mustExist: Bool
    /// The id of the location in which this one lies unless it is moved by itself; `huggingface-home` for the hub cache.
    public let parent: String?
    /// Why the placement is what it is: one sentence for people.
    public let note: String
    /// The absolute path that the tool would use, or nil when it keeps nothing (cache switched off, refused value).
    public let resolve: @Sendable (ResolutionContext) -> String?

    /// Describes a location.
    public init(
        id: String, title: String, kind: String, placement: Placement, variables: [String] = [],
        volumeSubdirectory: String? = nil, isLeftUnset: Bool = false, mustExist: Bool = false, parent: String? = nil,
        note: String,
        resolve: @escaping @Sendable (ResolutionContext) -> String?
    ) {
        self.id = id
        self.title = title
        self.kind = kind
        self.placement = placement
        self.variables = variables
        self.volumeSubdirectory = volumeSubdirectory
        self.isLeftUnset = isLeftUnset
        self.mustExist = mustExist
        self.parent = parent
        self.note = note
        self.resolve = resolve
    }
}
