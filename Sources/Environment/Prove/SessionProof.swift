import Glibc
public import LinuxKit
import Storage
import Synchronization

/// `packet-agent env prove`: which kinds of session see the variables, tried and not supposed.
public struct SessionProof: Codable, Sendable, Equatable {
    /// What a session saw.
    public enum State: String, Codable, Sendable {
        /// Every variable, or a value of the user's own.
        case sees
        /// Not every variable, although a layer reaches it.
        case misses
        /// Not every variable, and nothing inside the pod can change that: the pod specification can.
        case unreachable
        /// The pod has no such session.
        case absent
        /// It could not be started.
        case failed
    }

    /// One session.
    public struct Session: Codable, Sendable, Equatable {
        /// Which kind it is.
        public var kind: SessionKind
        /// How a person calls it.
        public var title: String
        /// What it saw.
        public var state: State
        /// Variables that it has as planned.
        public var seen: [String]
        /// Variables that it does not have.
        public var missing: [String]
        /// Variables that have a value of the user's own, which wins.
        public var own: [String]
        /// Why it is absent or failed, or what else there is to say; null otherwise.
        @Nullable public var reason: String?
    }

    /// `packet-agent/prove/1`.
    public var schema = "packet-agent/prove/1"
    /// The sessions, in the order in which people meet them.
    public var sessions: [Session]
    /// What the pod specification should set so that every process has the variables from its start.
    public var podSpec: [String: String]

    enum CodingKeys: String, CodingKey {
        case schema, sessions
        case podSpec = "pod_spec"
    }

    /// Whether every session that can be reached from inside sees the variables.
    public var isProven: Bool { !sessions.contains { $0.state == .misses || $0.state == .failed } }

    /// Kinds that inherit their environment and read no file.
    private static let inheriting: Set<SessionKind> = [.bashCommand, .shellCommand, .directExec]
    /// Kinds whose files are the same for every user, so that a user's own variables cannot be in them. Those are Python's,
    /// whose start-up hook sets them there too.
    private static let userless: Set<SessionKind> = [.cron, .systemdService]

    /// Starts one session of each kind, all at the same time. Takes as long as the slowest: cron starts its jobs at full
    /// minutes.
    ///
    /// - Throws: ``LinuxError`` when there is no place for what the sessions leave.
    public static func run(
        _ plan: EnvironmentPlan, user: EnvironmentPlan.User, environmentFile: String
    ) throws(LinuxError) -> SessionProof {
        var template = Array("/tmp/packet-agent-prove.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw LinuxError("create directory in", "/tmp", code: errno) }
        let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { remove(directory) }
        var base = PodFacts.containerEnvironment()
        if base.isEmpty { base = ProcessEnvironment.current }
        // The runtime sets both for every process that it starts.
        base["HOME"] = base["HOME"] ?? user.home
        base["PATH"] = base["PATH"] ?? PodFacts.defaultPath
        let ground = TrialGround(directory: directory, base: base, user: user)
        let wanted = (shared: plan.variables, own: plan.variables(for: user).dropFirst(plan.variables.count))
        let trials = SessionTrial.all
        let results = Mutex([Session?](repeating: nil, count: trials.count))
        Parallel.run(trials.count, name: "prove") { index in
            let session = judge(
                trials[index], trials[index].run(ground), wanted.shared, usersOwn: Array(wanted.own))
            results.withLock { $0[index] = session }
        }
        return SessionProof(
            sessions: results.withLock { $0.compactMap { $0 } },
            podSpec: PodVariable.dictionary(plan, environmentFile: environmentFile))
    }

    static func judge(
        _ trial: SessionTrial, _ outcome: SessionTrial.Outcome, _ shared: [EnvironmentVariable],
        usersOwn: [EnvironmentVariable] = []
    ) -> Session {
        var session = Session(
            kind: trial.kind, title: trial.title, state: .sees, seen: [], missing: [], own: [], reason: nil)
        switch outcome {
        case .absent(let reason): (session.state, session.reason) = (.absent, reason)
        case .failed(let reason): (session.state, session.reason) = (.failed, reason)
        case .entries(let entries):
            for variable in shared + usersOwn {
                let prefix = Array((variable.name + "=").utf8)
                let value = entries.first { $0.starts(with: prefix) }.map { $0.dropFirst(prefix.count) } ?? []
                switch variable.standing(value) {
                case .asPlanned: session.seen.append(variable.name)
                case .missing: session.missing.append(variable.name)
                case .usersOwn: session.own.append(variable.name)
                }
            }
            guard !session.missing.isEmpty else { break }
            let names = Set(usersOwn.map(\.name))
            if userless.contains(trial.kind), session.missing.allSatisfy(names.contains) {
                session.reason = "\(session.missing.joined(separator: ", ")): set when Python starts"
            } else {
                session.state = inheriting.contains(trial.kind) ? .unreachable : .misses
            }
        }
        return session
    }

    private static func remove(_ directory: String) {
        for name in Directory.names(directory) { unlink("\(directory)/\(name)") }
        rmdir(directory)
    }
}

extension EnvironmentVariable {
    enum Standing { case asPlanned, missing, usersOwn }

    /// How a session's value stands to the plan.
    func standing(_ value: some Collection<UInt8>) -> Standing {
        if value.isEmpty { return .missing }
        switch combination {
        case .prepend:
            let isIn = value.split(separator: UInt8(ascii: ":")).contains { $0.elementsEqual(self.value.utf8) }
            return isIn ? .asPlanned : .missing
        case .set:
            if value.elementsEqual(self.value.utf8) { return .asPlanned }
            return replaces.map { value.elementsEqual($0.utf8) } == true ? .missing : .usersOwn
        }
    }
}
