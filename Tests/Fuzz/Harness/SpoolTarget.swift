import Effects
import Glibc
import Synchronization

@testable import Metering

/// A directory in memory that never fails: the damage is in what the files hold.
private final class MemoryDirectory: DurableDirectory {
    private let files: Mutex<[String: [UInt8]]>

    init(_ files: [String: [UInt8]]) { self.files = Mutex(files) }

    func list() throws(DiskError) -> [String] { files.withLock { $0.keys.sorted() } }

    func read(_ name: String) throws(DiskError) -> [UInt8] {
        guard let bytes = files.withLock({ $0[name] }) else {
            throw DiskError(operation: "open", name: name, code: ENOENT)
        }
        return bytes
    }

    func append(_ bytes: [UInt8], to name: String) throws(DiskError) {
        files.withLock { $0[name, default: []] += bytes }
    }

    func sync(_ name: String) throws(DiskError) {}

    func syncDirectory() throws(DiskError) {}

    func truncate(_ name: String, to size: Int) throws(DiskError) {
        files.withLock { $0[name] = Array(($0[name] ?? []).prefix(size)) }
    }

    func rename(_ name: String, to target: String) throws(DiskError) {
        files.withLock { $0[target] = $0.removeValue(forKey: name) }
    }

    func remove(_ name: String) throws(DiskError) { files.withLock { $0[name] = nil } }
}

/// Damaged segments never stop a spool: it opens, holds what it held after opening again, and takes new records.
///
/// The first byte's lowest bit mends the checksums, without which random bytes would never get past them; the others say
/// where a second segment begins.
func spool(_ input: [UInt8]) {
    guard let mode = input.first else { return }
    var bytes = Array(input.dropFirst())
    if mode & 1 == 1 { mendChecksums(&bytes) }
    let middle = bytes.count * Int(mode >> 1) / 128
    var files = [Segment.name(1): Array(bytes[middle...])]
    if middle > 0 { files[Segment.name(2)] = Array(bytes[..<middle]) }
    do {
        let directory = MemoryDirectory(files)
        var spool = try Spool(directory: directory)
        let held = try spool.load(maximumEvents: .max, maximumBytes: .max)
        guard UInt64(held.count) == spool.count else { fatalError("the spool holds another number than it says") }
        var again = try Spool(directory: directory)
        guard again.recovery.damagedSegments == 0, again.recovery.tornBytes == 0, again.recovery.replacedRecords == 0
        else { fatalError("what was mended is found damaged again: \(again.recovery)") }
        guard try again.load(maximumEvents: .max, maximumBytes: .max) == held else {
            fatalError("opening again changes what is held")
        }
        let epoch = "00112233445566778899aabbccddeeff"
        guard !again.state.isAcknowledged(epoch, 7), !held.contains(where: { $0.epoch == epoch }) else { return }
        var state = again.state
        state.epoch = epoch
        state.nextSeq = 8
        let record = StoredRecord(epoch: epoch, seq: 7, bytes: Array("{}".utf8))
        try again.append([record], state: state)
        var last = try Spool(directory: directory)
        guard try last.load(maximumEvents: .max, maximumBytes: .max).contains(record) else {
            fatalError("an appended record is gone")
        }
    } catch {
        if case SpoolError.full = error { return }
        fatalError("a disk without failures: \(error)")
    }
}

private func mendChecksums(_ bytes: inout [UInt8]) {
    var position = 0
    while position + Segment.frameHeaderSize <= bytes.count {
        guard bytes[position] == 0x50, bytes[position + 1] == 0x4b else {
            position += 1
            continue
        }
        let length = (0..<4).reduce(0) { $0 | Int(bytes[position + 4 + $1]) << (8 * $1) }
        let start = position + Segment.frameHeaderSize
        guard length <= bytes.count - start else {
            position += 1
            continue
        }
        let sum = CRC32C.checksum(bytes[position + 2..<position + 8], bytes[start..<start + length])
        bytes.replaceSubrange(position + 8..<start, with: Segment.little(sum))
        position = start + length
    }
}
