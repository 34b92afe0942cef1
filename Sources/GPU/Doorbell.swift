import CLinux
import Glibc
import LinuxKit

/// Wakes a thread that waits with a timeout: a pipe, because poll(2) takes both.
struct Doorbell: ~Copyable, Sendable {
    private let readEnd: Descriptor
    private let writeEnd: Descriptor

    init() throws(LinuxError) {
        var ends: [Int32] = [-1, -1]
        let result = clinux_pipe(&ends)
        guard result >= 0 else { throw LinuxError("make a pipe", "doorbell", code: -result) }
        readEnd = Descriptor(owning: ends[0])
        writeEnd = Descriptor(owning: ends[1])
    }

    /// Rings. It keeps ringing until a wait that answers it.
    func ring() {
        var byte: UInt8 = 1
        _ = write(writeEnd.number, &byte, 1)
    }

    /// Waits at most `milliseconds` for a ring; true when there was one. `answer` silences it.
    func wait(milliseconds: Int, answer: Bool) -> Bool {
        var poll = pollfd(fd: readEnd.number, events: Int16(POLLIN), revents: 0)
        guard Glibc.poll(&poll, 1, Int32(clamping: max(0, milliseconds))) > 0 else { return false }
        if answer {
            var bytes: (UInt64, UInt64) = (0, 0)
            _ = read(readEnd.number, &bytes, 16)
        }
        return true
    }
}
