import Storage

/// Files that programs make again by themselves: they change without anybody's doing, and nobody misses them.
enum NotTheUsers {
    /// Directories and files, with everything below them.
    static let regenerated: [BytePath] = [
        // Made by the runtime for each container.
        "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab", "/.dockerenv", "/run", "/var/run", "/var/lock",
        "/dev", "/proc", "/sys",
        // Caches of the loader and the package tools, and their locks.
        "/etc/ld.so.cache", "/etc/.pwd.lock", "/var/cache/ldconfig", "/var/cache/apt", "/var/cache/debconf",
        "/var/cache/man",
        "/var/cache/fontconfig", "/var/lib/apt", "/var/lib/dpkg", "/var/lib/systemd", "/var/lib/ucf",
        // Who was here, and what the package tools did.
        "/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog", "/var/log/faillog", "/var/log/journal", "/var/log/apt",
        "/var/log/dpkg.log", "/var/log/alternatives.log",
    ]

    /// True when everything in a directory is made again by itself, or is the agent's own.
    static func coversTree(_ directory: BytePath, own: [BytePath]) -> Bool {
        isHubLocks(directory)
            || !directory.isWithin("/dev/shm")
                && (regenerated.contains(where: directory.isWithin) || own.contains(where: directory.isWithin))
    }

    /// `hub/.locks/models--ORG--NAME`: empty files that the Hugging Face hub makes while it downloads.
    private static func isHubLocks(_ directory: BytePath) -> Bool {
        directory.parent.lastComponent == ".locks"
            && ["models--", "datasets--", "spaces--"].contains {
                directory.lastComponent.bytes.starts(with: $0.utf8)
            }
    }

    /// False for a directory in which ``covers(_:own:isChanged:)`` is false for every file, unless ``coversTree(_:own:)``.
    static func mayCoverFiles(in directory: BytePath, own: [BytePath]) -> Bool {
        directory.lastComponent == "__pycache__" || directory.isWithin("/dev/shm")
            || regenerated.contains { $0.parent == directory } || own.contains { $0.parent == directory }
    }

    /// True when a file is made again by itself, or is the agent's own.
    ///
    /// - Parameters:
    ///   - own: directories and files of the agent.
    ///   - exists: true for a path in the set of changed files.
    static func covers(_ path: BytePath, own: [BytePath], isChanged: (BytePath) -> Bool) -> Bool {
        if path.isWithin("/dev/shm") { return path.lastComponent == BytePath(FirstStart.podFileName) }
        if regenerated.contains(where: path.isWithin) || own.contains(where: path.isWithin) { return true }
        return byteCodeSource(path).map { !isChanged($0) } ?? false
    }

    /// `x/a.py` for `x/__pycache__/a.cpython-311.pyc` (PEP 3147).
    static func byteCodeSource(_ path: BytePath) -> BytePath? {
        let cache = path.parent
        guard path.bytes.suffix(4).elementsEqual(".pyc".utf8), cache.lastComponent == "__pycache__" else { return nil }
        let stem = path.lastComponent.bytes.prefix { $0 != UInt8(ascii: ".") }
        return cache.parent.appending(Array(stem) + Array(".py".utf8))
    }
}
