import CLinux
import Glibc

/// The controlling terminal, if the entrypoint's own process group is in its foreground and may hand that on (tty(4)).
enum ForegroundTerminal {
    /// Its descriptor; nil when there is none or another group is in the foreground.
    static func find() -> Int32? {
        for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where isForeground(descriptor) {
            // A copy, because the command's standard descriptors are not ours to rely on.
            let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
            return copy >= 0 ? copy : descriptor
        }
        let descriptor = clinux_open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK, 0)
        guard descriptor >= 0 else { return nil }
        if isForeground(descriptor) { return descriptor }
        close(descriptor)
        return nil
    }

    // Both are 0 when the group's leader is outside of our PID name space.
    private static func isForeground(_ descriptor: Int32) -> Bool { tcgetpgrp(descriptor) == getpgrp() }
}
