import CLinux
import Glibc
import LinuxKit
import Testing

@Suite struct ExtendedAttributeTests {
    @Test func replacingAFileKeepsItsAttributesAndGivesTheTimesThatWereAskedFor() throws {
        var template = Array("/tmp/attributes.XXXXXX".utf8CString)
        let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer {
            unlink(directory + "/file")
            rmdir(directory)
        }
        let path = directory + "/file"
        try AtomicFile.write("old".utf8, to: path)
        let value: [UInt8] = [0, 1, 255]
        try #require(setxattr(path, "user.note", value, value.count, 0) == 0, "/tmp must have extended attributes")
        let times = AtomicFile.Times(
            accessed: .init(seconds: 1, nanoseconds: 2), modified: .init(seconds: 3, nanoseconds: 4))
        try AtomicFile.write("new".utf8, to: path, times: times, temporary: ".rest.tmp")
        let file = try Descriptor(opening: path, O_RDONLY)
        let status = try FileStatus(path)
        #expect(try ExtendedAttributes.read(descriptor: file.number)["user.note"] == value)
        #expect(status.modified == times.modified && status.accessed == times.accessed)
    }

    @Test func aRestOfAKilledWriteIsOverwritten() throws {
        var template = Array("/tmp/attributes.XXXXXX".utf8CString)
        let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer {
            unlink(directory + "/file")
            rmdir(directory)
        }
        try AtomicFile.write("half".utf8, to: directory + "/.rest.tmp")
        try AtomicFile.write("whole".utf8, to: directory + "/file", temporary: ".rest.tmp")
        #expect(try LocalFile.readText(directory + "/file") == "whole")
        #expect(access(directory + "/.rest.tmp", F_OK) != 0)
    }
}
