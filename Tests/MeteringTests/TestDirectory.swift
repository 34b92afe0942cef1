import Effects
import Foundation
import Synchronization

/// A real directory whose operations can be made to fail.
final class TestDirectory: DurableDirectory {
    private let local: LocalDirectory
    private let failing = Mutex<[String: Int32]>([:])
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "spool-" + UUID().uuidString
        local = try LocalDirectory(path: path)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Makes an operation fail with an error number until it is told otherwise.
    func fail(_ operation: String, _ code: Int32?) { failing.withLock { $0[operation] = code } }

    func segments() throws -> [String] { try local.list().filter { $0.hasSuffix(".segment") }.sorted() }

    /// Changes the bytes of a file behind the spool's back.
    func change(_ name: String, _ body: (inout Data) -> Void) throws {
        let url = URL(fileURLWithPath: path + "/" + name)
        var data = try Data(contentsOf: url)
        body(&data)
        try data.write(to: url)
    }

    private func check(_ operation: String, _ name: String) throws(DiskError) {
        if let code = failing.withLock({ $0[operation] }) {
            throw DiskError(operation: operation, name: name, code: code)
        }
    }

    func list() throws(DiskError) -> [String] {
        try check("list", "")
        return try local.list()
    }
    func read(_ name: String) throws(DiskError) -> [UInt8] {
        try check("read", name)
        return try local.read(name)
    }
    func append(_ bytes: [UInt8], to name: String) throws(DiskError) {
        do { try check("append", name) } catch {
            // As much as a full disk takes.
            try local.append(Array(bytes.prefix(bytes.count / 2)), to: name)
            throw error
        }
        try local.append(bytes, to: name)
    }
    func sync(_ name: String) throws(DiskError) {
        try check("sync", name)
        try local.sync(name)
    }
    func syncDirectory() throws(DiskError) {
        try check("syncDirectory", "")
        try local.syncDirectory()
    }
    func truncate(_ name: String, to size: Int) throws(DiskError) {
        try check("truncate", name)
        try local.truncate(name, to: size)
    }
    func rename(_ name: String, to target: String) throws(DiskError) {
        try check("rename", name)
        try local.rename(name, to: target)
    }
    func remove(_ name: String) throws(DiskError) {
        try check("remove", name)
        try local.remove(name)
    }
}
