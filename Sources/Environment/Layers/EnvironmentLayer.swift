/// A kind of session that a user can start.
public enum SessionKind: String, Sendable, CaseIterable, Codable {
    /// `bash -l`, `sh -l`, a console.
    case loginShell = "login-shell"
    /// `bash -i`, a tmux pane.
    case interactiveShell = "interactive-shell"
    /// `bash -c`, a bash script.
    case bashCommand = "bash-command"
    /// `sh -c`, a script of sh.
    case shellCommand = "shell-command"
    /// zsh of every kind.
    case zsh
    /// fish of every kind.
    case fish
    /// `ssh host command`.
    case sshCommand = "ssh-command"
    /// `ssh host` with a terminal.
    case sshTerminal = "ssh-terminal"
    /// Jobs of cron.
    case cron
    /// `su`, `sudo -i`, `login`.
    case su
    /// Services of systemd.
    case systemdService = "systemd-service"
    /// A Python program, however it was started.
    case python
    /// A kernel of a Jupyter server that was started after the layer came in.
    case jupyterKernel = "jupyter-kernel"
    /// A terminal of such a server.
    case jupyterTerminal = "jupyter-terminal"
    /// pip, whatever its environment is.
    case pip
    /// conda, whatever its environment is.
    case conda
    /// A program without any of the variables that uses its default place.
    case directExec = "direct-exec"
}

/// What a layer knows when it says what its files should be.
public struct LayerContext: Sendable {
    /// Which variables, for whom.
    public let plan: EnvironmentPlan
    /// Where the agent's own files are.
    public let places: EnvironmentPlaces

    /// A path below the pod's root.
    public func path(_ path: String) -> String { places.root + path }

    /// The contents of a local file of at most 16 MiB; nil when it cannot be read.
    func read(_ path: String) -> [UInt8]? { LocalText.read(self.path(path)) }

    /// Whether a local path exists.
    func exists(_ path: String) -> Bool { LocalText.exists(self.path(path)) }

    /// `/etc` below the root: the tree of most files.
    var etc: String { path("/etc") }
}

/// Where the agent's files are.
public struct EnvironmentPlaces: Sendable, Equatable {
    /// `agent.runtime_directory`, local.
    public let runtimeDirectory: String
    /// Put before `/etc` and home directories; for tests.
    public let root: String
    /// `boot.hold_login_s`: seconds that an interactive login waits until boot is over; 0 for not at all.
    public var holdLoginSeconds = 0

    /// Exists while boot goes on.
    public var bootingFlag: String { runtimeDirectory + "/booting" }
    /// Exists while the volume answers; programs test it.
    public var readyFlag: String { runtimeDirectory + "/volume.ready" }
    /// The one rendered POSIX file.
    public var environmentFile: String { runtimeDirectory + "/env.sh" }
    /// The same for Python interpreters.
    public var pythonFile: String { runtimeDirectory + "/env.py" }
    /// What an interactive login shell shows: lines of a time and a text, kept by the daemon.
    public var loginFile: String { runtimeDirectory + "/login" }
    /// What it shows above that, in red: one line, there while the last boot has failed in a step.
    public var bootLoginFile: String { runtimeDirectory + "/login.boot" }
    /// What was set in systemd's manager, as `NAME=VALUE` lines ended by NUL.
    public var managerFile: String { runtimeDirectory + "/systemd-environment" }
}

/// What a layer wants.
public struct LayerWish: Sendable {
    /// Its files; none while it does not apply.
    public var edits: [FileEdit] = []
    /// Variables or files that it leaves out, and why.
    public var left: [LeftAlone] = []
    /// Why it does not apply in this pod: its program is not installed.
    public var absent: String?

    /// The layer's program is not installed.
    static func absent(_ reason: String) -> LayerWish { LayerWish(absent: reason) }
}

/// One way into sessions: the files that bring the plan's variables to some kinds of session.
///
/// Pure but for reading the files that it shares with others; ``EnvironmentApply`` does the rest.
public struct EnvironmentLayer: Sendable {
    /// How a layer meets a volume that is not there.
    public enum Nature: Sendable, Equatable {
        /// Its files test the ready flag themselves and stay.
        case program
        /// Its files name the volume: they are in while it is ready and out when it is gone or stuck.
        case whileReady
    }

    /// A program that reads the files and must be asked about them.
    public enum Reader: Sendable, Equatable {
        /// sshd judges its configuration and reads it again.
        case sshServer
        /// systemd's manager has an environment of its own.
        case systemdManager
    }

    /// Its name in `environment.disabled_layers`.
    public let id: String
    /// Which kinds of session it reaches.
    public let reaches: [SessionKind]
    /// How it meets a volume that is not there.
    public let nature: Nature
    /// The running program behind the files; nil for none.
    public let reader: Reader?
    /// What its files should be.
    public let wish: @Sendable (LayerContext) -> LayerWish

    init(
        id: String, reaches: [SessionKind], nature: Nature, reader: Reader? = nil,
        wish: @escaping @Sendable (LayerContext) -> LayerWish
    ) {
        self.id = id
        self.reaches = reaches
        self.nature = nature
        self.reader = reader
        self.wish = wish
    }

    /// Every layer, in the order in which they are put in.
    ///
    /// Not among them, on purpose: uv.toml, because uv's cache stays on local disk, where uv's own default is; kernel.json
    /// of Jupyter kernels, because a kernel inherits the environment of its server, a Python program that ``pythonStartup``
    /// reaches; `~/.bashrc`, because `/etc/bash.bashrc` is read by the same shells before it.
    public static let all: [EnvironmentLayer] = [
        runtimeFiles, profile, bashStartup, zshStartup, fishStartup, pamEnvironment, sshServer, systemdManager,
        pipConfiguration, condaConfiguration, pythonStartup, cacheLinks,
    ]
}
