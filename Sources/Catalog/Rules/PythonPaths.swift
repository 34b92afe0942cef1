/// Python's way with paths (CPython 3.11 `posixpath.py`, `tempfile.py`, `getpass.py`).
extension ResolutionContext {
    /// The home directory as `os.path.expanduser("~")` gives it: HOME, also when empty, else the password database.
    var homeDirectory: String { expandUser("~") }

    /// `os.path.expanduser`: `~` is HOME, `~name` another user's home; an unknown name stays as it is.
    func expandUser(_ path: String) -> String {
        guard path.hasPrefix("~") else { return path }
        let name = path.dropFirst().prefix { $0 != "/" }
        let rest = path.dropFirst(1 + name.count)
        guard let home = name.isEmpty ? environment["HOME"] ?? home : homeOfUser(name) else { return path }
        let result = Self.trimmingSlashes(home) + rest
        return result.isEmpty ? "/" : result
    }

    private func homeOfUser(_ name: Substring) -> String? {
        PasswordEntry.all(in: files.text(of: "/etc/passwd") ?? "").first { $0.name == name }?.home
    }

    /// `os.path.expandvars`: `$NAME` and `${NAME}`, unknown names stay, values are not looked at again.
    func expandVariables(_ path: String) -> String {
        var result = ""
        var rest = Substring(path)
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            let after = rest[rest.index(after: dollar)...]
            if after.first == "{", let close = after.firstIndex(of: "}") {
                let name = String(after[after.index(after: after.startIndex)..<close])
                result += environment[name] ?? "${\(name)}"
                rest = after[after.index(after: close)...]
            } else {
                let name = after.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
                result += name.isEmpty ? "$" : environment[String(name)] ?? "$" + name
                rest = after[name.endIndex...]
            }
        }
        return result + rest
    }

    /// `os.path.abspath`: the absolute form without `.`, `..` and doubled slashes.
    func absolute(_ path: String) -> String {
        let whole = path.hasPrefix("/") ? path : workingDirectory + "/" + path
        var parts: [Substring] = []
        for part in whole.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        // POSIX leaves exactly two leading slashes to the implementation; on Linux they are one.
        return "/" + parts.joined(separator: "/")
    }

    /// `tempfile.gettempdir()`: the first directory in which a file can be made.
    var temporaryDirectory: String {
        let named = ["TMPDIR", "TEMP", "TMP"].compactMap { filled($0) }.map(absolute)
        return (named + ["/tmp", "/var/tmp", "/usr/tmp", workingDirectory]).first {
            files.entry(at: $0)?.isDirectory != false && isWritable($0)
        } ?? "/tmp"
    }

    /// `getpass.getuser()`: a variable before the password database.
    var loginName: String { ["LOGNAME", "USER", "LNAME", "USERNAME"].lazy.compactMap(filled).first ?? userName }

    private static func trimmingSlashes(_ path: String) -> String {
        var path = Substring(path)
        while path.last == "/" { path.removeLast() }
        return String(path)
    }
}

/// `os.path.join`: an absolute second part replaces the first.
func join(_ first: String, _ parts: String...) -> String {
    parts.reduce(first) { path, part in
        if part.hasPrefix("/") { return part }
        return path.isEmpty || path.hasSuffix("/") ? path + part : path + "/" + part
    }
}

/// `os.path.dirname`.
func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "" }
    let head = path[...slash]
    let trimmed = head.reversed().drop { $0 == "/" }.reversed()
    return trimmed.isEmpty ? String(head) : String(trimmed)
}

/// One line of /etc/passwd (passwd(5)).
struct PasswordEntry {
    let name: Substring
    let uid: UInt32
    let home: String

    /// The entries of the file; lines that cannot be understood are left out.
    static func all(in text: String) -> [PasswordEntry] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count == 7, let uid = UInt32(fields[2]) else { return nil }
            return PasswordEntry(name: fields[0], uid: uid, home: String(fields[5]))
        }
    }
}
