import CLinux
import Glibc
import LinuxKit
import Storage

/// Copies one file or link into a staging directory and reads it back.
struct FileCopy {
    /// What became of a file.
    enum Outcome {
        /// It is on the volume, compared, with all its attributes.
        case copied
        /// It changed since the tree was looked at; the next look finds it.
        case changed
    }

    let run: CopyRun
    let entry: SourceTree.Entry
    /// The directories of both, open.
    let source: Int32
    let target: Int32
    /// The source, for messages.
    let path: BytePath

    private var content: FileStatus { entry.content }
    private var isSparse: Bool { content.allocatedBytes < content.size }

    /// Opens the source; nil when it is not what the look found.
    func openSource() throws(TransferError) -> Descriptor? {
        // Should a pipe stand there now, opening must not wait for its other end.
        let flags = O_RDONLY | O_NONBLOCK | (entry.shared == nil ? O_NOFOLLOW : 0)
        let result = clinux_openat(source, entry.name, flags, 0)
        if result == -ENOENT || result == -ELOOP { return nil }
        guard result >= 0 else { throw .system("read", path, -result) }
        let file = Descriptor(owning: result)
        guard isUnchanged(file.number) else { return nil }
        return file
    }

    /// True when an open source is still the file that the look found, to the nanosecond.
    func isUnchanged(_ file: Int32) -> Bool {
        guard let now = try? FileStatus(descriptor: file) else { return false }
        return now.kind == .regular && now.inode == content.inode && now.size == content.size
            && now.modified == content.modified && now.changed == content.changed
    }

    /// True when an earlier, interrupted copy finished this file: times are set only after the contents were compared.
    ///
    /// - Parameter begun: when that copy began; what changed since counts as not copied.
    func isFinished(since begun: FileStatus.Time) -> Bool {
        guard case .success(let staged) = FileStatus.of(name: entry.name, in: target) else { return false }
        // Clocks of file systems tick some milliseconds late.
        return staged.kind == .regular && staged.size == content.size && staged.modified == content.modified
            && content.changed < FileStatus.Time(seconds: begun.seconds - 1, nanoseconds: begun.nanoseconds)
    }

    /// Makes the new file. Permissions come last; until then its owner may read it, to compare it.
    func create(_ flags: Int32 = 0) throws(TransferError) -> Descriptor {
        try Opening.file(
            target, entry.name, O_RDWR | O_CREAT | O_EXCL | flags, mode: content.permissions & 0o777 | 0o600, path: path
        )
    }

    /// Opens what an interrupted run left of this file, on the volume and not in memory alone; nil when there is nothing to go
    /// on with, and whatever has the name is gone then.
    func openUnfinished() -> Descriptor? {
        let result = clinux_openat(target, entry.name, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0)
        if result == -ENOENT { return nil }
        if result >= 0 {
            let file = Descriptor(owning: result)
            // Other names of it are finished files. A file with attributes was finished once, and the source may have lost them.
            if let status = try? FileStatus(descriptor: file.number), status.kind == .regular, status.links == 1,
                flistxattr(file.number, nil, 0) <= 0, ftruncate(file.number, off_t(content.size)) == 0,
                fsync(file.number) == 0
            {
                return file
            }
        }
        unlinkat(target, entry.name, 0)
        return nil
    }

    /// Copies a file on one thread.
    func copy(_ buffer: UnsafeMutableRawBufferPointer) throws(TransferError) -> Outcome {
        guard let input = try openSource() else { return .changed }
        run.options.step(.writeFile, path)
        let output = try create()
        let blocks = FileBlocks(path: path, run: run, isSparse: isSparse, buffer: buffer)
        guard let hashes = try blocks.copy(input.number, to: output.number, 0..<content.size) else { return .changed }
        if isSparse { try setSize(output.number) }
        try finish(output)
        run.options.step(.verifyFile, path)
        let copy = try reopen()
        guard try blocks.matches(copy.number, 0..<content.size, hashes) else { throw mismatch }
        guard isUnchanged(input.number) else { return .changed }
        try apply(input.number, copy.number)
        run.options.progress(content.size, 1)
        return .copied
    }

    func apply(_ input: Int32, _ copy: Int32) throws(TransferError) {
        run.options.step(.finishFile, path)
        try Attributes(run: run).apply(content, from: input, to: copy, path: path)
    }

    func setSize(_ file: Int32) throws(TransferError) {
        guard ftruncate(file, off_t(content.size)) == 0 else { throw .system("set size of", path, errno) }
    }

    /// Makes contents durable and closes: both are where NFS says at last that the volume is full.
    func finish(_ output: consuming Descriptor) throws(TransferError) {
        guard fsync(output.number) == 0 else { throw .system("write", path, errno) }
        do throws(LinuxError) { try output.closeChecked() } catch { throw .system("write", path, error.code) }
    }

    /// Opens the copy again, without what this machine still has of it in memory: the volume itself is asked.
    func reopen(_ flags: Int32 = 0) throws(TransferError) -> Descriptor {
        let copy = try Opening.file(target, entry.name, O_RDONLY | flags, path: path)
        // Only pages that are written out can be dropped, which fsync(2) made sure of.
        posix_fadvise(copy.number, 0, 0, POSIX_FADV_DONTNEED)
        return copy
    }

    var mismatch: TransferError {
        TransferError(
            .mismatch,
            "\(path) came back from the volume with other contents than were written; nothing was removed. Is the volume's storage sound? Run the command again"
        )
    }

    /// Makes a symbolic link.
    func copyLink(saying text: [UInt8]) throws(TransferError) {
        run.options.step(.makeLink, path)
        let result = symlinkat(FileName(name: text), target, entry.name)
        if result != 0, errno == EEXIST, Opening.linkTarget(target, entry.name) != text {
            guard unlinkat(target, entry.name, 0) == 0, symlinkat(FileName(name: text), target, entry.name) == 0 else {
                throw .system("make link", path, errno)
            }
        } else if result != 0, errno != EEXIST {
            throw .system("make link", path, errno)
        }
        guard Opening.linkTarget(target, entry.name) == text else { throw mismatch }
        try Attributes(run: run).apply(entry.status, toLink: entry.name, in: target, path: path)
        run.options.progress(0, 0)
    }
}
