import Glibc

/// Shell patterns of file names.
enum FileNamePattern {
    /// Whether fnmatch(3) takes the name; a leading dot must be written.
    static func matches(_ name: String, _ pattern: String) -> Bool { fnmatch(pattern, name, FNM_PERIOD) == 0 }
}
