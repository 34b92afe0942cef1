public import Catalog
import LinuxKit

/// A variable that the plan sets for everybody.
public struct EnvironmentVariable: Sendable, Equatable {
    /// How the value meets one that exists.
    public enum Combination: Sendable, Equatable {
        /// It takes the place of an unset or empty variable, and of the container's value that it ``replaces``.
        case set
        /// It is put before an existing value, separated by a colon.
        case prepend
    }

    /// The variable's name.
    public let name: String
    /// An absolute path, fully expanded, never empty; for ``Combination/prepend`` the part that is put in front.
    public let value: String
    /// One sentence for people.
    public let why: String
    /// The value in PID 1's environment that lies on an ephemeral layer and is overwritten; nil when there is none.
    public let replaces: String?
    /// How the value meets one that exists.
    public let combination: Combination

    /// Makes a variable.
    public init(name: String, value: String, why: String, replaces: String? = nil, combination: Combination = .set) {
        self.name = name
        self.value = value
        self.why = why
        self.replaces = replaces
        self.combination = combination
    }
}

/// A variable whose value depends on who asks: secrets and what must stay on the user's own disk.
public struct UserVariable: Sendable, Equatable {
    /// The variable's name.
    public let name: String
    /// The value by home directory.
    public let valueByHome: [String: String]
    /// For every other user: the value relative to the home directory.
    public let underHome: String
    /// One sentence for people.
    public let why: String

    /// The value for a home directory, nil when that is not an absolute path.
    public func value(home: String) -> String? {
        if let value = valueByHome[home] { return value }
        guard home.hasPrefix("/") else { return nil }
        return (home == "/" ? "" : home) + "/" + underHome
    }
}

/// Which variables to set so that tools put their data on the volume, and which not, each with its reason.
///
/// Pure: made from facts, rendered by ``EnvironmentRenderer``, written by ``EnvironmentApply``.
public struct EnvironmentPlan: Sendable, Equatable {
    /// The volume that the variables point to.
    public struct Volume: Sendable, Equatable {
        /// Its name.
        public let name: String
        /// Its absolute mount point.
        public let mountPoint: String

        /// Names a volume.
        public init(name: String, mountPoint: String) {
            self.name = name
            self.mountPoint = mountPoint
        }
    }

    /// A user of the pod with a private place on the volume.
    public struct User: Sendable, Equatable {
        /// User id.
        public let uid: UInt32
        /// Absolute home directory.
        public let home: String

        /// The user of PID 1 in most images.
        public static let root = User(uid: 0, home: "/root")

        /// Names a user.
        public init(uid: UInt32, home: String) {
            self.uid = uid
            self.home = home
        }
    }

    /// Everything that decides the plan.
    public struct Facts: Sendable {
        /// The primary volume; nil when there is none, it is absent or does not answer.
        public var volume: Volume?
        /// Why there is no volume.
        public var noVolumeReason = "no volume is mounted"
        /// PID 1's environment.
        public var container: [String: String] = [:]
        /// Users with a private place on the volume.
        public var users: [User] = [.root]
        /// Variables of the container that stay although they point to an ephemeral layer (`environment.keep`).
        public var keep: [String] = []
        /// What is known of the volume's `pip-packages`.
        public var pythonPackages = PythonPackages.absent
        /// The interpreters that get a start-up file.
        public var pythons: [PythonSite] = []
        /// The rendered POSIX file, when BASH_ENV is to name it (`environment.bash_env`).
        public var bashEnvironment: String?
        /// `environment.pythonpath`.
        public var pythonPath = PythonPathRule.auto
        /// Whether data written at an absolute path survives the pod.
        public var isPersistent: @Sendable (String) -> Bool
        /// The files that rules of tools may look at: not those on a volume, which can hang.
        public var files: any FileView
        /// The target of a symbolic link; nil where there is none, or below a network file system.
        public var linkTarget: @Sendable (String) -> String?

        /// Starts from nothing: no volume, empty environment.
        public init(
            volume: Volume? = nil, container: [String: String] = [:],
            isPersistent: @escaping @Sendable (String) -> Bool,
            files: (any FileView)? = nil
        ) {
            self.volume = volume
            self.container = container
            self.isPersistent = isPersistent
            self.files = files ?? FilesOfOthers(files: LocalFiles { !isPersistent($0) })
            linkTarget = { path in
                if isPersistent(AtomicFile.parent(of: path)) { return nil }
                return (try? LocalFile.linkTarget(path)).map { String(decoding: $0, as: UTF8.self) }
            }
        }
    }

    /// A variable that is left alone.
    public struct Skipped: Sendable, Equatable {
        /// The variable's name.
        public let name: String
        /// One sentence for people.
        public let reason: String
    }

    /// The volume that the variables point to; nil when there is none, and then no variable is set.
    public internal(set) var volume: Volume?
    /// Variables for everybody, in the catalog's order.
    public internal(set) var variables: [EnvironmentVariable] = []
    /// Variables that depend on the user.
    public internal(set) var userVariables: [UserVariable] = []
    /// Variables that are left alone, in the catalog's order.
    public internal(set) var skipped: [Skipped] = []
    /// The users of the facts.
    public internal(set) var users: [User] = []
    /// The interpreters of the facts.
    public internal(set) var pythons: [PythonSite] = []
    /// Where the packages on the volume are that fit a version of Python.
    public internal(set) var pythonDirectories: [PythonVersion: String] = [:]
    /// Links from default places to the volume.
    public internal(set) var links: [CacheLink] = []
    /// Directories that must exist on the volume.
    public internal(set) var directories: [VolumeDirectory] = []

    /// The variables of one user: those for everybody, then the user's own.
    public func variables(for user: User) -> [EnvironmentVariable] {
        variables
            + userVariables.compactMap { variable in
                variable.value(home: user.home).map {
                    EnvironmentVariable(name: variable.name, value: $0, why: variable.why)
                }
            }
    }

    /// Decides every variable.
    public static func make(_ facts: Facts, tools: [ToolLocation] = Catalog.tools) -> EnvironmentPlan {
        var planner = Planner(facts: facts, tools: tools)
        planner.decide()
        return planner.plan
    }
}
