import CLinux
import Glibc
import LinuxKit
import Storage
import Synchronization

/// Copies one large file on all threads together, each a range at a time.
///
/// Writes and the comparison go past the page cache where the file system allows it (O_DIRECT): the cache would only fill with
/// pages that nobody reads again, and the comparison has to ask the volume anyway.
///
/// What an interrupted copy left is compared with the source, block by block, and only what differs is copied again: that needs
/// no record of how far it got, which a crash could make wrong.
struct LargeFileCopy {
    /// Bytes that a thread takes at once: one block, in huge pages.
    private static let share: UInt64 = 4 << 20
    /// Threads: enough to keep a fast disk or a distant volume busy, and 32 MiB of buffers.
    private static let threads = 8

    let file: FileCopy
    private var size: UInt64 { file.entry.content.size }
    private var isSparse: Bool { file.entry.content.allocatedBytes < size }

    private func range(_ index: Int) -> Range<UInt64> {
        UInt64(index) * Self.share..<min(UInt64(index + 1) * Self.share, size)
    }

    /// Copies, compares, and gives the copy its attributes.
    func copy() throws(TransferError) -> FileCopy.Outcome {
        guard let input = try file.openSource() else { return .changed }
        let (run, path, isSparse) = (file.run, file.path, isSparse)
        let threads = min(Self.threads, run.options.threads)
        run.options.step(.writeFile, path)
        let begun = isSparse ? nil : file.openUnfinished()
        let isBegun = begun != nil
        let output: Descriptor
        if let begun { output = begun } else { output = try file.create() }
        // Reserved at once, a file lies in one piece, and a volume without room says so before anything is copied.
        let reserved = isSparse ? -EOPNOTSUPP : clinux_fallocate(output.number, Int64(size))
        if reserved == -ENOSPC || reserved == -EDQUOT { throw .system("write", path, -reserved) }
        if reserved < 0 { try file.setSize(output.number) }
        let direct = isSparse ? nil : Self.direct(file, O_WRONLY)
        let uncached = isSparse ? nil : Self.direct(file, O_RDONLY)
        let staged = isBegun ? OpenFile(try file.reopen()) : nil
        let count = Int((size + Self.share - 1) / Self.share)
        let taken = Mutex<[Taken?]>(Array(repeating: nil, count: count))
        let (from, to) = (input.number, output.number)
        try run.each(count, threads: threads, bytes: Int(Self.share)) { (index, buffer) throws(TransferError) in
            let blocks = FileBlocks(path: path, run: run, isSparse: isSparse, buffer: buffer)
            let range = range(index)
            if let staged, try blocks.agree(from, uncached?.number ?? staged.number, range) {
                taken.withLock { $0[index] = .found }
                run.options.progress(range.upperBound - range.lowerBound, 0)
                return
            }
            run.options.step(.writeBlock, path)
            var hashes: FileBlocks.Hashes?
            if !isSparse {
                hashes = try blocks.copy(from, to: to, direct: direct?.number, range)
            } else if let own = try file.openSource() {
                // Looking for holes moves the descriptor's position: each thread needs its own.
                hashes = try blocks.copy(own.number, to: to, range)
            }
            if let hashes { taken.withLock { $0[index] = .copied(hashes) } }
        }
        let all = taken.withLock { $0 }
        guard all.allSatisfy({ $0 != nil }) else { return .changed }
        try file.finish(output)
        run.options.step(.verifyFile, path)
        let copy = try file.reopen()
        let cached = copy.number
        try run.each(count, threads: threads, bytes: Int(Self.share)) { (index, buffer) throws(TransferError) in
            guard case .copied(let hashes) = all[index] else { return }
            let blocks = FileBlocks(path: path, run: run, isSparse: isSparse, buffer: buffer)
            let range = range(index)
            let own = isSparse ? OpenFile(try file.reopen()) : uncached
            guard try blocks.matches(own?.number ?? cached, range, hashes) else { throw file.mismatch }
            run.options.progress(range.upperBound - range.lowerBound, 0)
        }
        guard file.isUnchanged(input.number) else { return .changed }
        try file.apply(input.number, copy.number)
        run.options.progress(0, 1)
        return .copied
    }

    /// Where a block of the copy comes from.
    private enum Taken {
        /// An earlier run wrote it; it was read from the volume and is as the source is.
        case found
        /// This run wrote it.
        case copied(FileBlocks.Hashes)
    }

    /// The copy opened past the page cache; nil where the file system does not have that.
    private static func direct(_ file: FileCopy, _ flags: Int32) -> OpenFile? {
        let result = clinux_openat(file.target, file.entry.name, flags | O_NOFOLLOW | clinux_o_direct, 0)
        return result >= 0 ? OpenFile(Descriptor(owning: result)) : nil
    }
}
