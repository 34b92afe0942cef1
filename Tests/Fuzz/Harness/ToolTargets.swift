import Catalog
import LinuxKit
import Storage

@testable import AtRisk
@testable import Catalog
@testable import Environment

/// Files of which every one has the same text, so that each tool's reader gets the input as its configuration.
private struct OneText: FileView {
    let text: String

    func text(of path: String) -> String? { text }
    func entry(at path: String) -> FileEntry? { FileEntry(isDirectory: false) }
    func access(to path: String) -> FileAccess { .writable }
    func names(in directory: String) -> [String] { ["a.yml"] }
}

/// Whatever a tool's configuration files and variables hold, its place is an absolute path or none.
///
/// What stands before the first NUL is the text of every file, the rest is the value of every variable of the catalog.
func toolSettings(_ input: [UInt8]) {
    let (file, value) = halves(input)
    var environment: [String: String] = [:]
    if !value.isEmpty {
        let text = String(decoding: value.filter { $0 != 0 }, as: UTF8.self)
        for name in Catalog.tools.flatMap(\.variables) + ["HOME", "XDG_CACHE_HOME", "CONDA_EXE", "VIRTUAL_ENV"] {
            environment[name] = text
        }
    }
    let context = ResolutionContext(
        environment: environment, home: "/root", files: OneText(text: String(decoding: file, as: UTF8.self)))
    for tool in Catalog.tools {
        guard let path = tool.resolve(context) else { continue }
        require(path.hasPrefix("/"), "\(tool.id) resolves to \(path)")
        require(context.absolute(context.absolute(path)) == context.absolute(path), "\(path) has no absolute form")
    }
}

/// A list of conda's and the sections of an INI file, read by two readers that must agree.
func toolFiles(_ input: [UInt8]) {
    let text = String(decoding: input, as: UTF8.self)
    if let found = CondaSettings.list(["envs_dirs", "pkgs_dirs"], in: text) {
        require(found.items.count <= input.count + 1, "more items than there are bytes")
    }
    let file = INIFile(text)
    for (section, values) in file.sections {
        require(values.keys.allSatisfy { $0 == $0.lowercased() }, "a key of \(section) kept its capitals")
    }
    let configuration = ConfigurationText(input)
    if let end = configuration.end(ofHeader: "global") {
        require((1...input.count).contains(end), "the header ends outside the file")
        require(end == input.count || input[end - 1] == 0x0a, "the header does not end with its line")
    }
    _ = configuration.hasKey("cache-dir", in: "global")
    for entry in PasswordEntry.all(in: text) { require(!entry.name.contains("\n"), "a name holds a newline") }
    let users = PodFacts.users(passwd: text)
    require(users.contains { $0.uid == 0 } && Set(users.map(\.uid)).count == users.count, "users are not told apart")
}

/// What package tools write: dpkg's status, names of Python's and conda's records, what the probe tells of wheels.
func packageRecords(_ input: [UInt8]) {
    for (name, _) in ImagePackages.distribution(input) {
        require(!name.isEmpty && !name.contains("\n"), "a package of the distribution has no name")
    }
    let names = lines(input)
    for (name, _) in ImagePackages.python(names) {
        require(ImagePackages.normalized(name) == name, "a normal name changes when it is made normal again")
    }
    for (name, version) in ImagePackages.conda(names) {
        require(!name.isEmpty && !version.isEmpty, "a conda package has no name or version")
    }
    let before = ImagePackages.python(names)
    require(PackageChange.between(before, before).isEmpty, "a list differs from itself")
    if case .found(let tags, let interpreters, _) = PythonPackages.read(String(decoding: input, as: UTF8.self)) {
        for interpreter in interpreters { for tag in tags.joined() { _ = interpreter.accepts(tag: tag) } }
    }
}
