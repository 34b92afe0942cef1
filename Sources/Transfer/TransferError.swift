import LinuxKit
import Glibc
import Storage

/// Why a copy or move did not happen, in words that say what to do. Whatever it was, the source is complete.
public struct TransferError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure it is.
    public enum Code: String, Sendable, Codable {
        /// The request makes no sense or would do harm; nothing was written.
        case refused
        /// The destination holds something else.
        case conflict
        /// The volume has no room left.
        case full
        /// A program writes to the source.
        case busy
        /// The volume gave back other bytes than were written.
        case mismatch
        /// The user stopped it.
        case cancelled
        /// The volume does not answer.
        case stuck
        /// A system call failed.
        case system
    }

    /// The kind of failure.
    public let code: Code
    /// One or two sentences, safe for a terminal.
    public let description: String

    /// Makes an error.
    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    /// A failed system call; a volume without room is told as such.
    static func system(_ operation: String, _ path: BytePath, _ code: Int32) -> TransferError {
        let error = LinuxError(operation, path.description, code: code)
        switch code {
        case ENOSPC: return TransferError(.full, "\(error): the volume is full; make room and run the command again")
        case EDQUOT:
            return TransferError(
                .full, "\(error): your quota on the volume is used up; make room and run the command again")
        default: return TransferError(.system, error.description)
        }
    }

    static let cancelled = TransferError(.cancelled, "stopped; run the same command again to go on where it stopped")
}
