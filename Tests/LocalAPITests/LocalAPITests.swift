import Glibc
import LinuxKit
import LocalAPI
import NIOPosix
import Testing

@Suite struct LocalSocketTests {
    let path: String

    init() throws {
        var template = Array("/tmp/localapi.XXXXXX".utf8CString)
        path = try #require(mkdtemp(&template).map { String(cString: $0) }) + "/agent.sock"
    }

    @discardableResult private func serving<R>(_ body: () async throws -> R) async throws -> R {
        let server = try await LocalServer.start(path: path, group: MultiThreadedEventLoopGroup.singleton) { uri in
            uri == "/v1/status"
                ? .init(body: Array(#"{"agent":"x"}"#.utf8)) : .init(status: 404, body: Array("{}".utf8))
        }
        let result: R
        do { result = try await body() } catch {
            await server.stop()
            throw error
        }
        await server.stop()
        return result
    }

    @Test func everyUserMayReadTheAnswer() async throws {
        let answer = try await serving {
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o666)
            return try await LocalClient.get("/v1/status", socket: path)
        }
        #expect(answer == Array(#"{"agent":"x"}"#.utf8))
        #expect(access(path, F_OK) != 0)
    }

    @Test func withoutADaemonTheErrorSaysWhatToDo() async {
        await #expect(throws: LocalClient.Failure.notRunning(socket: path)) {
            try await LocalClient.get("/v1/status", socket: path)
        }
    }

    @Test func anUnknownPathIsRefused() async throws {
        _ = try await serving {
            await #expect(throws: LocalClient.Failure.refused("status 404")) {
                try await LocalClient.get("/nothing", socket: path)
            }
        }
    }

    /// A page that a browser of this machine shows may have a name that its owner lets lead to 127.0.0.1 (DNS rebinding).
    @Test(arguments: [
        ("Host: localhost:9400\r\n", true), ("Host: 127.0.0.1\r\n", true), ("Host: [::1]:9400\r\n", true),
        ("Host: evil.example:9400\r\n", false), ("Host: 127.0.0.1.evil.example\r\n", false),
        ("Host: localhost.\r\n", false),
        ("", false), ("Host: localhost\r\nHost: evil.example\r\n", false),
    ]) func onLoopbackOnlyLocalNamesAreAnswered(header: String, isAnswered: Bool) async throws {
        let server = try await LocalServer.start(
            host: "127.0.0.1", port: 0, group: MultiThreadedEventLoopGroup.singleton
        ) { _ in .init(body: Array("secret".utf8)) }
        let answer = try exchange("GET /metrics HTTP/1.1\r\n\(header)\r\n", port: #require(server.port))
        await server.stop()
        #expect(answer.hasPrefix(isAnswered ? "HTTP/1.1 200" : "HTTP/1.1 421"), "\(answer)")
        #expect(answer.contains("secret") == isAnswered)
    }

    private func exchange(_ request: String, port: Int) throws -> String {
        let client = Descriptor(owning: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(client.number, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(result == 0)
        try client.writeAll(request.utf8)
        return String(decoding: try client.readToEnd(), as: UTF8.self)
    }

    @Test func aSocketOfADeadDaemonIsReplacedAndOfALiveOneNot() async throws {
        let stale = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(stale, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(bound == 0)
        close(stale)
        _ = try await serving {
            await #expect(throws: (any Error).self) {
                _ = try await LocalServer.start(path: path, group: MultiThreadedEventLoopGroup.singleton) { _ in
                    .init(body: [])
                }
            }
        }
    }

    @Test func bytesThatAreNotHTTPAreDropped() async throws {
        try await serving {
            for attack in [
                "\u{0}\u{1}\u{2}\r\n\r\n", "POST /v1/status HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", "GET",
            ] {
                let connection = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
                var address = sockaddr_un()
                address.sun_family = sa_family_t(AF_UNIX)
                withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
                _ = withUnsafePointer(to: &address) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        connect(connection, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                    }
                }
                _ = attack.withCString { write(connection, $0, strlen($0)) }
                close(connection)
            }
            _ = try await LocalClient.get("/v1/status", socket: path)
        }
    }
}
