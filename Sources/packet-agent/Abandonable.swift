import CLinux
import Glibc
import LinuxKit
import Synchronization

/// A command that works in a child of this process, so that a user gets the terminal back whatever happens: a process with a
/// thread that waits for a dead server is not gone before the kernel lets that thread go, not even after SIGKILL.
///
/// The child does everything, printing included, and says with which status it ends before it does. The parent only waits, and
/// ends when the child has said so, although it may not be able to.
enum Abandonable {
    /// How long after Ctrl-C the child may take to say how it ends; its own limit for a volume is shorter.
    private static let graceMilliseconds: Int32 = 6000
    /// The end of the pipe that the status is told by; -1 outside of a child.
    private static let status = Atomic<Int32>(-1)

    /// Goes on in a child and returns there; the parent ends the program. Only while the process has one thread. Where no child
    /// can be made, it returns in the process itself.
    static func enter() {
        var ends: [Int32] = [-1, -1]
        guard clinux_pipe(&ends) == 0 else { return }
        // Neither may be met by a signal before it knows what to do with it.
        var (interrupts, mask) = (sigset_t(), sigset_t())
        sigemptyset(&interrupts)
        for number in [SIGINT, SIGUSR1] { sigaddset(&interrupts, number) }
        sigprocmask(SIG_BLOCK, &interrupts, &mask)
        let child = clinux_fork_kept()
        if child > 0 {
            close(ends[1])
            supervise(child, ends[0], mask)
        }
        close(ends[0])
        if child == 0 {
            status.store(ends[1], ordering: .relaxed)
            // The parent decides what Ctrl-C means, and tells.
            signal(SIGINT, SIG_IGN)
            Interrupt.watch(SIGUSR1)
            on_exit({ value, _ in Abandonable.tell(value) }, nil)
        } else {
            close(ends[1])
        }
        sigprocmask(SIG_SETMASK, &mask, nil)
    }

    /// True in the child.
    static var isEntered: Bool { status.load(ordering: .relaxed) >= 0 }

    private static func tell(_ value: Int32) {
        fflush(nil)
        var byte = UInt8(truncatingIfNeeded: value)
        _ = write(status.load(ordering: .relaxed), &byte, 1)
    }

    private static func supervise(_ child: pid_t, _ pipe: Int32, _ mask: sigset_t) -> Never {
        Interrupt.watch()
        var mask = mask
        sigprocmask(SIG_SETMASK, &mask, nil)
        var poll = pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)
        var isTold = false
        while true {
            // Half a second: a signal between the look at the flag and the wait is not seen sooner.
            let ready = Glibc.poll(&poll, 1, isTold ? graceMilliseconds : 500)
            if ready > 0 { break }
            if isTold, ready == 0 {
                Terminal.writeError(
                    "packet-agent: stopped, but a disk or volume does not answer; what was not moved is where it was. Run the same command again when it is back"
                )
                exit(1)
            }
            guard Interrupt.happened, !isTold else { continue }
            isTold = true
            kill(child, SIGUSR1)
        }
        var byte: UInt8 = 0
        if read(pipe, &byte, 1) == 1 {
            // What it can still do is end; what runs then holds no terminal.
            _ = wait(for: child, milliseconds: 200)
            exit(Int32(byte))
        }
        // It ended without a word: by a signal, such as SIGKILL.
        let end = wait(for: child, milliseconds: 200)
        let number = end & 0x7f
        if number != 0 {
            signal(number, SIG_DFL)
            raise(number)
        }
        exit(number != 0 ? 128 + number : end >> 8 & 0xff)
    }

    /// The child's status as of wait(2), or 137 exited, as after SIGKILL, when it cannot end.
    private static func wait(for child: pid_t, milliseconds: Int) -> Int32 {
        var end: Int32 = 0
        for _ in 0..<milliseconds {
            if waitpid(child, &end, WNOHANG) == child { return end }
            usleep(1000)
        }
        return 137 << 8
    }
}
