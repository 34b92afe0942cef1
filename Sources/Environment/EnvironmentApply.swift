import Glibc
public import LinuxKit
public import Settings

/// Puts a plan into the pod and takes it out again, layer by layer, through the change journal.
///
/// Writes local files only and never waits for the volume. Running it twice changes nothing; ``revert()`` gives back every
/// file byte for byte.
public struct EnvironmentApply: Sendable {
    /// What was done.
    public struct Result: Sendable, Equatable {
        /// Files that were written or removed.
        public var changed: [String] = []
        /// What was left alone, and why.
        public var left: [LeftAlone] = []
        /// What went wrong, of ``left``.
        public var problems: [String] { left.filter(\.isProblem).map(\.description) }
    }

    /// Where the files are.
    public let places: EnvironmentPlaces
    /// The file that the daemon keeps while the volume answers; the rendered texts test it.
    public var readyFlag: String { places.readyFlag }
    /// The one rendered POSIX file.
    public var environmentFile: String { places.environmentFile }
    /// What an interactive login shell shows.
    public var loginFile: String { places.loginFile }
    /// The login shells' file with our block.
    public var profileFile: String { places.root + "/etc/profile.d/packet-agent.sh" }

    private let layers: [EnvironmentLayer]
    private let disabled: [String]
    private let programs: LayerPrograms
    private let journal: ChangeJournal

    /// Chooses the places.
    ///
    /// - Parameters:
    ///   - runtimeDirectory: `agent.runtime_directory`, local.
    ///   - stateDirectory: `agent.state_directory`, local; the journal is in its `changes`.
    ///   - disabled: `environment.disabled_layers`.
    ///   - root: put before `/etc`, home directories and the state directory; for tests. The pod's running programs are then
    ///     left alone.
    ///   - programs: the running programs behind layers; nil for the pod's.
    ///   - holdLoginSeconds: `boot.hold_login_s`.
    public init(
        runtimeDirectory: String = "/run/packet-agent", stateDirectory: String = "/var/lib/packet-agent",
        disabled: [String] = [], root: String = "", programs: LayerPrograms? = nil, holdLoginSeconds: Int = 0
    ) {
        var places = EnvironmentPlaces(runtimeDirectory: runtimeDirectory, root: root)
        places.holdLoginSeconds = holdLoginSeconds
        self.places = places
        self.disabled = disabled
        self.programs = programs ?? (root.isEmpty ? .system(places) : .none)
        journal = ChangeJournal(stateDirectory: root + stateDirectory)
        layers = EnvironmentLayer.all
    }

    /// The places that a configuration names.
    public init(_ configuration: AgentConfiguration, root: String = "") {
        self.init(
            runtimeDirectory: configuration.agent.runtimeDirectory, stateDirectory: configuration.agent.stateDirectory,
            // Switched off altogether nothing of ours stays in anybody's files.
            disabled: configuration.environment.enabled
                ? configuration.environment.disabledLayers : AgentConfiguration.Environment.layers, root: root,
            holdLoginSeconds: configuration.boot.holdLoginSeconds)
    }

    /// The renderer that programs of this room and the command line use for a plan.
    public func renderer(_ plan: EnvironmentPlan, user: EnvironmentPlan.User = .root) -> EnvironmentRenderer {
        EnvironmentRenderer(plan: plan, user: user, readyFlag: readyFlag)
    }

    // MARK: Looking

    /// What ``apply(_:ready:)`` would change: `env apply --dry-run`.
    public func changes(for plan: EnvironmentPlan, ready: Bool = true) -> (changes: [FileChange], left: [LeftAlone]) {
        let work = work(plan, ready: ready)
        return (work.flatMap(\.changes), work.flatMap(\.left))
    }

    /// What ``revert()`` would change.
    public func revertChanges() -> (changes: [FileChange], left: [LeftAlone]) {
        let work = revertWork()
        return (work.changes, work.left)
    }

    /// How each layer stands, for `env --format json`.
    public func states(for plan: EnvironmentPlan, ready: Bool = true) -> [LayerState] {
        work(plan, ready: ready).map { work in
            let layer = work.layer
            if disabled.contains(layer.id) {
                return LayerState(layer, .off, "switched off (environment.disabled_layers)")
            }
            if let absent = work.absent { return LayerState(layer, .absent, absent) }
            if layer.nature == .whileReady && !ready { return LayerState(layer, .out, "the volume does not answer") }
            if let left = work.left.first(where: \.isProblem) { return LayerState(layer, .left, left.description) }
            if !work.puts.isEmpty { return LayerState(layer, .pending, "packet-agent env apply puts it in") }
            if work.isEmpty {
                return LayerState(layer, .out, work.left.first?.description ?? "there is nothing to set")
            }
            return LayerState(
                layer, .in, work.left.isEmpty ? nil : work.left.map(\.description).joined(separator: "; "))
        }
    }

    /// Files that hold nothing but ours or are as they were before us but for our block: not the user's work.
    public func ownPaths() -> [String] {
        let changer = FileChanger(journal: journal)
        return journal.records().filter { record in
            guard case .change(let change) = changer.planRemoval(of: record.path) else { return false }
            return record.original.map { $0.isDirectory || $0.bytes == change.new } ?? (change.new == nil)
        }.map(\.path)
    }

    // MARK: Changing

    /// Brings every layer up to date. Call it after the plan's directories were made (``VolumeDirectories``).
    ///
    /// What fails is in the result; the other layers go on.
    ///
    /// - Parameter ready: whether the volume answers. If not, the ready flag and the layers that name the volume are taken
    ///   out; nothing waits for it.
    @discardableResult
    public func apply(_ plan: EnvironmentPlan, ready: Bool = true) throws(LinuxError) -> Result {
        let ready = ready && plan.volume != nil
        try AtomicFile.createDirectory(places.runtimeDirectory)
        if !ready { try setReady(false) }
        let result = try journal.locked { () throws(LinuxError) in
            var result = Result()
            for work in work(plan, ready: ready) { perform(work, plan, ready: ready, &result) }
            return result
        }
        if ready { try setReady(true) }
        return result
    }

    /// Takes back everything that ``apply(_:ready:)`` did, by whatever version.
    @discardableResult
    public func revert() throws(LinuxError) -> Result {
        try setReady(false)
        return try journal.locked { () throws(LinuxError) in
            var result = Result()
            let work = revertWork()
            takeOut(work.outs, &result)
            result.left += work.left + programs.setManager([])
            if work.outs.contains(where: { $0.change != nil && $0.path.contains("/etc/ssh/") }) { programs.reloadSSH() }
            return result
        }
    }

    /// Says that the volume answers (or no longer does), which switches the variables on (or off) for new shells.
    public func setReady(_ ready: Bool) throws(LinuxError) {
        if ready {
            if access(readyFlag, F_OK) == 0 { return }
            try AtomicFile.createDirectory(places.runtimeDirectory)
            try AtomicFile.write([], to: readyFlag)
        } else if unlink(readyFlag) != 0 && errno != ENOENT {
            throw LinuxError("remove", readyFlag, code: errno)
        }
    }

    // MARK: One layer

    /// What is to be done for one layer.
    private struct Work {
        let layer: EnvironmentLayer
        var puts: [(edit: FileEdit, change: FileChange)] = []
        var outs: [(path: String, change: FileChange?)] = []
        var left: [LeftAlone] = []
        var absent: String?
        /// Nothing is wanted.
        var isEmpty = true

        var changes: [FileChange] { outs.compactMap(\.change) + puts.map(\.change) }
    }

    private func work(_ plan: EnvironmentPlan, ready: Bool) -> [Work] {
        let changer = FileChanger(journal: journal)
        let context = LayerContext(plan: plan, places: places)
        let ready = ready && plan.volume != nil
        var records = journal.records()
        var result = layers.map { layer in
            var work = Work(layer: layer)
            let isIn = !disabled.contains(layer.id) && (ready || layer.nature == .program)
            let wish = isIn ? layer.wish(context) : LayerWish()
            (work.left, work.absent, work.isEmpty) = (wish.left, wish.absent, wish.edits.isEmpty)
            var wanted: [String] = []
            for edit in wish.edits {
                if let path = try? changer.resolve(edit) { wanted.append(path) }
                switch changer.plan(edit, layer: layer.id) {
                case .nothing: continue
                case .change(let change): work.puts.append((edit, change))
                case .left(let left): work.left.append(left)
                }
            }
            let mine = records.filter { $0.layer == layer.id }
            records.removeAll { $0.layer == layer.id }
            for record in mine where !wanted.contains(record.path) { look(changer, record.path, &work) }
            return work
        }
        // Records of layers that this version does not have.
        if let last = result.indices.last {
            for record in records { look(changer, record.path, &result[last]) }
        }
        return result
    }

    private func look(_ changer: FileChanger, _ path: String, isOwn: Bool = false, _ work: inout Work) {
        switch changer.planRemoval(of: path, isOwn: isOwn) {
        case .nothing: work.outs.append((path, nil))
        case .change(let change): work.outs.append((path, change))
        case .left(let left): work.left.append(left)
        }
    }

    private func revertWork() -> Work {
        let changer = FileChanger(journal: journal)
        var work = Work(layer: .runtimeFiles)
        for path in [places.environmentFile, places.pythonFile] { look(changer, path, isOwn: true, &work) }
        let journaled = journal.records().map(\.path)
        for path in journaled { look(changer, path, &work) }
        // Blocks of which the journal was lost.
        for path in Self.sharedFiles.map({ places.root + $0 }) where !journaled.contains(path) {
            if let contents = LocalText.read(path), MarkedBlock.state(in: contents) != .absent {
                look(changer, path, &work)
            }
        }
        return work
    }

    private static let sharedFiles = [
        "/etc/profile.d/packet-agent.sh", "/etc/bash.bashrc", "/etc/bashrc", "/etc/zsh/zshenv", "/etc/zshenv",
        "/etc/fish/conf.d/packet-agent.fish", "/etc/environment", "/etc/ssh/sshd_config.d/00-packet-agent.conf",
        "/etc/ssh/sshd_config", "/etc/pip.conf", "/etc/conda/condarc.d/packet-agent.yml",
    ]

    private func perform(_ work: Work, _ plan: EnvironmentPlan, ready: Bool, _ result: inout Result) {
        result.left += work.left
        let count = result.changed.count
        takeOut(work.outs, &result)
        put(work, &result)
        switch work.layer.reader {
        case .sshServer: if result.changed.count != count { programs.reloadSSH() }
        case .systemdManager:
            let isIn = ready && !disabled.contains(work.layer.id)
            result.left += programs.setManager(isIn ? plan.variables : [])
        case nil: return
        }
    }

    private func takeOut(_ outs: [(path: String, change: FileChange?)], _ result: inout Result) {
        let changer = FileChanger(journal: journal)
        for out in outs {
            do throws(LinuxError) {
                try changer.takeOut(out.path, out.change)
                if out.change != nil { result.changed.append(out.path) }
            } catch {
                result.left.append(FileChanger.left(out.path, error))
            }
        }
    }

    private func put(_ work: Work, _ result: inout Result) {
        guard !work.puts.isEmpty else { return }
        let changer = FileChanger(journal: journal)
        let isSSH = work.layer.reader == .sshServer
        if isSSH, let problem = programs.sshProblem() {
            result.left.append(LeftAlone("sshd", "its configuration was wrong before: \(problem)", isProblem: true))
            return
        }
        var done: [FileChange] = []
        for (edit, change) in work.puts {
            do throws(LinuxError) {
                try changer.put(edit, change, layer: work.layer.id)
                done.append(change)
            } catch {
                result.left.append(FileChanger.left(change.path, error))
            }
        }
        if isSSH, let problem = programs.sshProblem() {
            result.left.append(
                LeftAlone("sshd", "it refuses our line, which was taken out: \(problem)", isProblem: true))
            for change in done {
                do throws(LinuxError) {
                    try changer.undo(change)
                } catch {
                    result.left.append(FileChanger.left(change.path, error))
                }
            }
            return
        }
        result.changed += done.map(\.path)
    }
}
