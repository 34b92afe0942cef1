import CLinux
import Glibc
import LinuxKit
import Storage

/// Copies and compares the contents of a file in blocks of its buffer's size, holes included.
struct FileBlocks {
    /// Bytes of a block, each with a hash of its own, where many files are copied at once.
    static let size = 1 << 20
    /// A page of x86 and arm64 as these machines run it, and a multiple of the blocks of disks: what O_DIRECT wants.
    static let page = 4096

    /// The hash of a block; nil for one that is a hole.
    typealias Hashes = [UInt64?]

    /// The file, for messages.
    let path: BytePath
    let run: CopyRun
    /// True when the source has holes.
    let isSparse: Bool
    let buffer: UnsafeMutableRawBufferPointer

    /// Allocates a buffer that O_DIRECT takes.
    ///
    /// From 2 MiB on it asks for huge pages: the kernel then pins one page instead of 512, and a request to the disk is as large
    /// as the disk allows and not as 254 pages are. Direct reads and writes took half the time with them.
    static func buffer(_ bytes: Int) -> UnsafeMutableRawBufferPointer {
        let huge = 2 << 20
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes, alignment: bytes < huge ? page : huge)
        if bytes >= huge { _ = madvise(buffer.baseAddress, bytes, MADV_HUGEPAGE) }
        return buffer
    }

    /// Copies a range that begins at a block; nil when the source ended early, because somebody changes it.
    ///
    /// - Parameters:
    ///   - direct: the same file opened with O_DIRECT, for whole pages.
    func copy(_ source: Int32, to target: Int32, direct: Int32? = nil, _ range: Range<UInt64>) throws(TransferError)
        -> Hashes?
    {
        var hashes: Hashes = []
        for start in stride(from: range.lowerBound, to: range.upperBound, by: buffer.count) {
            try run.check()
            let count = Int(min(UInt64(buffer.count), range.upperBound - start))
            let block = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<count])
            if isSparse {
                guard let isHole = try copySegments(source, target, block, at: start) else { return nil }
                hashes.append(isHole ? nil : ContentHash.of(UnsafeRawBufferPointer(block)))
            } else {
                guard try read(source, block, at: start) == count else { return nil }
                let whole = direct == nil ? 0 : count & ~(Self.page - 1)
                if let direct, whole > 0 {
                    try write(direct, UnsafeRawBufferPointer(rebasing: block[0..<whole]), at: start)
                }
                try write(target, UnsafeRawBufferPointer(rebasing: block[whole...]), at: start + UInt64(whole))
                hashes.append(ContentHash.of(UnsafeRawBufferPointer(block)))
            }
        }
        return hashes
    }

    /// Copies the data of a block and leaves its holes out; true when it is one hole, nil when the source ended early.
    private func copySegments(
        _ source: Int32, _ target: Int32, _ block: UnsafeMutableRawBufferPointer, at start: UInt64
    )
        throws(TransferError) -> Bool?
    {
        let end = Int64(start) + Int64(block.count)
        var position = Int64(start)
        var isHole = true
        while position < end {
            let data = clinux_seek_data(source, position)
            // ENXIO: no more data up to the end of the file.
            if data == Int64(-ENXIO) || data >= end { break }
            guard data >= 0 else { throw .system("look for holes in", path, Int32(-data)) }
            let hole = clinux_seek_hole(source, data)
            guard hole > data else { return nil }
            if isHole {
                block.initializeMemory(as: UInt8.self, repeating: 0)
                isHole = false
            }
            let piece = UnsafeMutableRawBufferPointer(
                rebasing: block[Int(data - Int64(start))..<Int(min(hole, end) - Int64(start))])
            guard try read(source, piece, at: UInt64(data)) == piece.count else { return nil }
            try write(target, UnsafeRawBufferPointer(piece), at: UInt64(data))
            position = hole
        }
        return isHole
    }

    /// True when a range reads as it was when its hashes were taken.
    func matches(_ file: Int32, _ range: Range<UInt64>, _ hashes: Hashes) throws(TransferError) -> Bool {
        for (index, hash) in hashes.enumerated() {
            try run.check()
            let start = range.lowerBound + UInt64(index * buffer.count)
            let count = Int(min(UInt64(buffer.count), range.upperBound - start))
            if hash == nil, isHole(file, start, count) { continue }
            // Whole pages, because O_DIRECT reads nothing else; the end of the file cuts the last one.
            let block = UnsafeMutableRawBufferPointer(
                rebasing: buffer[0..<min(buffer.count, (count + Self.page - 1) & ~(Self.page - 1))])
            guard try read(file, block, at: start) >= count else { return false }
            let found = UnsafeRawBufferPointer(rebasing: block[0..<count])
            if let hash {
                if ContentHash.of(found) != hash { return false }
            } else if found.contains(where: { $0 != 0 }) {
                return false
            }
        }
        return true
    }

    /// True when a block of an unfinished copy is as the source has it.
    func agree(_ source: Int32, _ copy: Int32, _ range: Range<UInt64>) throws(TransferError) -> Bool {
        try run.check()
        let start = range.lowerBound
        // A page first: what was not written yet need not cross the network whole.
        for size in [UInt64(Self.page), UInt64(buffer.count)] {
            let block = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<Int(min(size, range.upperBound - start))])
            guard try read(source, block, at: start) == block.count else { return false }
            let hash = ContentHash.of(UnsafeRawBufferPointer(block))
            guard try matches(copy, start..<start + UInt64(block.count), [hash]) else { return false }
        }
        return true
    }

    private func isHole(_ file: Int32, _ start: UInt64, _ count: Int) -> Bool {
        let data = clinux_seek_data(file, Int64(start))
        return data == Int64(-ENXIO) || data >= Int64(start) + Int64(count)
    }

    /// Reads until the buffer is full or the file ends.
    func read(_ file: Int32, _ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(TransferError) -> Int {
        var done = 0
        while done < buffer.count {
            let count = pread(file, buffer.baseAddress?.advanced(by: done), buffer.count - done, off_t(offset) + done)
            if count < 0 {
                if errno == EINTR { continue }
                // What O_DIRECT cannot read is behind the end of the file.
                if errno == EINVAL, done > 0 { break }
                throw .system("read", path, errno)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    private func write(_ file: Int32, _ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(TransferError) {
        var done = 0
        while done < bytes.count {
            let count = pwrite(file, bytes.baseAddress?.advanced(by: done), bytes.count - done, off_t(offset) + done)
            if count < 0 {
                if errno == EINTR { continue }
                throw .system("write", path, errno)
            }
            done += count
        }
    }
}
