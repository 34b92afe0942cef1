import Effects
import Glibc
import Synchronization

/// A directory with a volatile cache, as the kernel has one.
///
/// Pages of a file are durable after its sync, names after a sync of the directory. A power cut keeps any subset of what was
/// not synced, and half of a page. A failed sync marks the pages clean without having written all of them.
final class SimulatedDisk: DurableDirectory {
    enum Fault: String, CaseIterable, Sendable {
        case inputOutput, noSpace, failedSync, failedDirectorySync, kill, powerCut, tornPage, bitRot
    }

    /// Deliberate lies, to see that the simulation notices.
    struct Lies: Sendable {
        var syncsDirectory = true
        var syncsFiles = true
        var reportsSyncErrors = true
    }

    private static let page = 512

    private struct File {
        var cached: [UInt8] = []
        var durable: [UInt8] = []
        var dirty: Set<Int> = []
    }

    private enum NameChange {
        case link(String, Int)
        case move(String, String, Int)
        case unlink(String)
    }

    private struct State {
        var random: SplitMix
        var files: [Int: File] = [:]
        var names: [String: Int] = [:]
        var durableNames: [String: Int] = [:]
        var changes: [NameChange] = []
        var nextFile = 0
        var stepsToKill: Int?
        var isDead = false
        var errorsPerMille = 0
        var capacity = Int.max
        var fired: [Fault: Int] = [:]
        var steps = 0
    }

    private let state: Mutex<State>
    private let lies: Lies

    init(seed: UInt64, lies: Lies = .init()) {
        state = Mutex(State(random: SplitMix(seed: seed)))
        self.lies = lies
    }

    // MARK: Control

    var fired: [Fault: Int] { state.withLock { $0.fired } }
    var isDead: Bool { state.withLock { $0.isDead } }
    var steps: Int { state.withLock { $0.steps } }

    func set(errorsPerMille: Int) { state.withLock { $0.errorsPerMille = errorsPerMille } }

    func set(free: Int?) {
        state.withLock { state in state.capacity = free.map { $0 + Self.used(state) } ?? .max }
    }

    /// The process dies in its n-th disk operation from now.
    func kill(after steps: Int) { state.withLock { $0.stepsToKill = steps } }

    /// A new process looks at the disk; after a power cut only what survived is there.
    func restart(powerCut: Bool) {
        state.withLock { state in
            state.isDead = false
            state.stepsToKill = nil
            if powerCut { Self.cut(&state) }
        }
    }

    /// Turns over one bit of a durable segment.
    func rot() {
        state.withLock { state in
            let names = state.names.keys.filter { $0.hasSuffix(".segment") }.sorted()
            guard !names.isEmpty else { return }
            let name = names[state.random.below(names.count)]
            guard let file = state.names[name], let size = state.files[file]?.cached.count, size > 0 else { return }
            let position = state.random.below(size)
            let bit = UInt8(1) << state.random.below(8)
            state.files[file]?.cached[position] ^= bit
            if position < state.files[file]?.durable.count ?? 0 { state.files[file]?.durable[position] ^= bit }
            state.fired[.bitRot, default: 0] += 1
        }
    }

    private static func used(_ state: State) -> Int {
        state.names.values.reduce(0) { $0 + (state.files[$1]?.cached.count ?? 0) }
    }

    private static func cut(_ state: inout State) {
        state.fired[.powerCut, default: 0] += 1
        for change in state.changes where state.random.chance(500) {
            switch change {
            case .link(let name, let file): state.durableNames[name] = file
            case .move(let name, let target, let file):
                if state.durableNames[name] == file { state.durableNames[name] = nil }
                state.durableNames[target] = file
            case .unlink(let name): state.durableNames[name] = nil
            }
        }
        state.changes = []
        state.names = state.durableNames
        for id in state.files.keys.sorted() {
            guard var file = state.files[id] else { continue }
            for number in file.dirty.sorted() where state.random.chance(500) {
                var part = page
                if state.random.chance(200) {
                    part = state.random.below(page)
                    state.fired[.tornPage, default: 0] += 1
                }
                write(&file, number, part)
            }
            file.cached = file.durable
            file.dirty = []
            state.files[id] = file
        }
        let used = Set(state.names.values)
        state.files = state.files.filter { used.contains($0.key) }
    }

    private static func write(_ file: inout File, _ number: Int, _ part: Int) {
        let start = number * page
        let end = min(start + part, file.cached.count)
        guard start < end else { return }
        if file.durable.count < end { file.durable += Array(repeating: 0, count: end - file.durable.count) }
        file.durable.replaceSubrange(start..<end, with: file.cached[start..<end])
    }

    // MARK: DurableDirectory

    // One step of the process: it may die here, before or in the middle of it, or be refused.
    private func step<T>(
        _ operation: String, _ name: String, _ body: (inout State, _ dies: Bool) -> Result<T, DiskError>
    ) throws(DiskError) -> T {
        let result: Result<T, DiskError> = state.withLock { state in
            let dead = DiskError(operation: operation, name: name, code: ECANCELED)
            guard !state.isDead else { return .failure(dead) }
            state.steps += 1
            if let steps = state.stepsToKill {
                state.stepsToKill = steps - 1
                if steps <= 0 {
                    state.isDead = true
                    state.fired[.kill, default: 0] += 1
                    if state.random.chance(500) { _ = body(&state, true) }
                    return .failure(dead)
                }
            }
            if state.errorsPerMille > 0, operation != "read", operation != "list", operation != "sync",
                operation != "syncDirectory", state.random.chance(state.errorsPerMille)
            {
                state.fired[.inputOutput, default: 0] += 1
                return .failure(DiskError(operation: operation, name: name, code: EIO))
            }
            return body(&state, false)
        }
        return try result.get()
    }

    func list() throws(DiskError) -> [String] {
        try step("list", "") { state, _ in .success(state.names.keys.sorted()) }
    }

    func read(_ name: String) throws(DiskError) -> [UInt8] {
        try step("read", name) { (state: inout State, _: Bool) -> Result<[UInt8], DiskError> in
            guard let file = state.names[name].flatMap({ state.files[$0] }) else {
                return .failure(DiskError(operation: "read", name: name, code: ENOENT))
            }
            return .success(file.cached)
        }
    }

    func append(_ bytes: [UInt8], to name: String) throws(DiskError) {
        try step("append", name) { (state: inout State, dies: Bool) -> Result<Void, DiskError> in
            let id: Int
            if let known = state.names[name] {
                id = known
            } else {
                id = state.nextFile
                state.nextFile += 1
                state.names[name] = id
                state.files[id] = File()
                state.changes.append(.link(name, id))
            }
            let free = max(0, state.capacity - Self.used(state))
            var count = min(bytes.count, free)
            if dies { count = state.random.below(count + 1) }
            let start = state.files[id]?.cached.count ?? 0
            state.files[id]?.cached += bytes[..<count]
            if count > 0 {
                for number in start / Self.page...(start + count - 1) / Self.page {
                    state.files[id]?.dirty.insert(number)
                }
            }
            guard count == bytes.count else {
                if !dies { state.fired[.noSpace, default: 0] += 1 }
                return .failure(DiskError(operation: "append", name: name, code: ENOSPC))
            }
            return .success(())
        }
    }

    func sync(_ name: String) throws(DiskError) {
        let lies = lies
        try step("sync", name) { (state: inout State, dies: Bool) -> Result<Void, DiskError> in
            guard let id = state.names[name], var file = state.files[id] else {
                return .failure(DiskError(operation: "sync", name: name, code: ENOENT))
            }
            guard lies.syncsFiles else { return .success(()) }
            let fails = state.random.chance(state.errorsPerMille)
            for number in file.dirty.sorted() where !(fails || dies) || state.random.chance(500) {
                Self.write(&file, number, Self.page)
            }
            if !fails && !dies {
                let size = file.cached.count
                if file.durable.count > size { file.durable.removeLast(file.durable.count - size) }
                // Pages that an earlier failed sync marked clean are not written now.
                if file.durable.count < size { file.durable += Array(repeating: 0, count: size - file.durable.count) }
            }
            file.dirty = []
            state.files[id] = file
            if fails {
                state.fired[.failedSync, default: 0] += 1
                if lies.reportsSyncErrors { return .failure(DiskError(operation: "sync", name: name, code: EIO)) }
            }
            return .success(())
        }
    }

    func syncDirectory() throws(DiskError) {
        let lies = lies
        try step("syncDirectory", "") { (state: inout State, dies: Bool) -> Result<Void, DiskError> in
            guard lies.syncsDirectory, !dies else { return .success(()) }
            if state.random.chance(state.errorsPerMille) {
                state.fired[.failedDirectorySync, default: 0] += 1
                return .failure(DiskError(operation: "syncDirectory", name: "", code: EIO))
            }
            state.durableNames = state.names
            state.changes = []
            return .success(())
        }
    }

    func truncate(_ name: String, to size: Int) throws(DiskError) {
        try step("truncate", name) { (state: inout State, _: Bool) -> Result<Void, DiskError> in
            guard let id = state.names[name], let count = state.files[id]?.cached.count else {
                return .failure(DiskError(operation: "truncate", name: name, code: ENOENT))
            }
            if count > size {
                state.files[id]?.cached.removeLast(count - size)
                state.files[id]?.dirty.insert(size / Self.page)
            }
            return .success(())
        }
    }

    func rename(_ name: String, to target: String) throws(DiskError) {
        try step("rename", name) { (state: inout State, _: Bool) -> Result<Void, DiskError> in
            guard let id = state.names.removeValue(forKey: name) else {
                return .failure(DiskError(operation: "rename", name: name, code: ENOENT))
            }
            state.names[target] = id
            state.changes.append(.move(name, target, id))
            return .success(())
        }
    }

    func remove(_ name: String) throws(DiskError) {
        try step("remove", name) { (state: inout State, _: Bool) -> Result<Void, DiskError> in
            if state.names.removeValue(forKey: name) != nil { state.changes.append(.unlink(name)) }
            return .success(())
        }
    }
}
