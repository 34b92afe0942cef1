import Glibc
import LinuxKit
import Storage
import Synchronization

/// What cannot be kept on a volume, told once and not for every file.
enum Shortfall: Int, Sendable, CaseIterable {
    case owner, mode, attributes, hardLinks

    func text(_ count: Int) -> String {
        switch self {
        case .owner:
            "the volume does not let root give files to others (root_squash): \(count) kept their owner only at the source"
        case .mode: "the volume does not keep all permissions: \(count) differ"
        case .attributes: "the volume does not keep extended attributes: \(count) files or directories lost some"
        case .hardLinks: "the volume has no hard links: \(count) further names became files of their own"
        }
    }
}

/// One copy in progress, shared by its threads.
final class CopyRun: Sendable {
    let options: TransferOptions
    private let failure = Mutex<TransferError?>(nil)
    private let shortfalls = Mutex<[Shortfall: Int]>([:])

    init(_ options: TransferOptions) { self.options = options }

    /// Ends the calling thread's work when the user stopped the copy or another thread failed.
    func check() throws(TransferError) {
        if options.isCancelled() { throw .cancelled }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    func note(_ shortfall: Shortfall) { shortfalls.withLock { $0[shortfall, default: 0] += 1 } }

    /// What could not be kept, one sentence each.
    var notes: [String] {
        shortfalls.withLock { found in Shortfall.allCases.compactMap { kind in found[kind].map(kind.text) } }
    }

    /// Calls `body` with 0 to `count - 1` on several threads, each with a buffer of its own, and throws the first failure.
    ///
    /// - Parameters:
    ///   - threads: at most so many; nil for as many as the options say.
    ///   - bytes: the size of each buffer.
    func each(
        _ count: Int, threads: Int? = nil, bytes: Int = FileBlocks.size,
        _ body: @escaping @Sendable (Int, UnsafeMutableRawBufferPointer) throws(TransferError) -> Void
    ) throws(TransferError) {
        let next = Atomic(0)
        let work: @Sendable (Int) -> Void = { [self] _ in
            let buffer = FileBlocks.buffer(bytes)
            defer { buffer.deallocate() }
            while true {
                let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                guard index < count else { return }
                do throws(TransferError) {
                    try check()
                    try body(index, buffer)
                } catch {
                    failure.withLock { if $0 == nil { $0 = error } }
                    return
                }
            }
        }
        withExtendedLifetime(next) { Parallel.run(min(count, threads ?? options.threads), name: "copy", work) }
        if let error = failure.withLock({ $0 }) { throw error }
    }
}
