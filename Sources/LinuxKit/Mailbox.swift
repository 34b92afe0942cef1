import CLinux
import Glibc
import Synchronization

/// Wakes a thread that waits with a timeout: a pipe, because poll(2) takes both.
public struct Doorbell: ~Copyable, Sendable {
    private let readEnd: Descriptor
    private let writeEnd: Descriptor

    /// Makes a silent bell.
    ///
    /// - Throws: ``LinuxError`` when descriptors run out.
    public init() throws(LinuxError) {
        var ends: [Int32] = [-1, -1]
        let result = clinux_pipe(&ends)
        guard result >= 0 else { throw LinuxError("make a pipe", "doorbell", code: -result) }
        readEnd = Descriptor(owning: ends[0])
        writeEnd = Descriptor(owning: ends[1])
    }

    /// Rings. It keeps ringing until a wait that answers it.
    public func ring() {
        var byte: UInt8 = 1
        _ = write(writeEnd.number, &byte, 1)
    }

    /// Waits at most `milliseconds` for a ring; true when there was one. `answer` silences it.
    public func wait(milliseconds: Int, answer: Bool) -> Bool {
        var poll = pollfd(fd: readEnd.number, events: Int16(POLLIN), revents: 0)
        guard Glibc.poll(&poll, 1, Int32(clamping: max(0, milliseconds))) > 0 else { return false }
        if answer {
            var bytes: (UInt64, UInt64) = (0, 0)
            _ = read(readEnd.number, &bytes, 16)
        }
        return true
    }
}

/// Messages for a thread that owns something blocking: many post, one takes.
public final class Mailbox<Message: Sendable>: Sendable {
    private let waiting = Mutex<[Message]>([])
    private let doorbell: Doorbell
    private let limit: Int

    /// Makes an empty mailbox that holds at most `limit` messages.
    ///
    /// - Throws: ``LinuxError`` when descriptors run out.
    public init(limit: Int) throws(LinuxError) {
        doorbell = try Doorbell()
        self.limit = limit
    }

    /// Adds a message; false when the mailbox is full, because its owner has been blocked for long.
    @discardableResult public func post(_ message: Message) -> Bool {
        let (isAccepted, isFirst) = waiting.withLock { messages in
            guard messages.count < limit else { return (false, false) }
            messages.append(message)
            return (true, messages.count == 1)
        }
        // One ring per filled mailbox, so that the pipe never fills up and blocks whoever posts.
        if isFirst { doorbell.ring() }
        return isAccepted
    }

    /// Takes all messages, waiting at most `milliseconds` for the first; empty when the time is over.
    public func take(milliseconds: Int) -> [Message] {
        _ = doorbell.wait(milliseconds: milliseconds, answer: true)
        return waiting.withLock { messages in
            defer { messages = [] }
            return messages
        }
    }
}
