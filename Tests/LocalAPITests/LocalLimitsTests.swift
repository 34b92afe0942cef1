import Glibc
import LinuxKit
import LocalAPI
import NIOPosix
import Synchronization
import Testing

/// Who may do what over the socket, and how much.
@Suite struct LocalLimitsTests {
    let path: String

    init() throws {
        var template = Array("/tmp/localapi.XXXXXX".utf8CString)
        path = try #require(mkdtemp(&template).map { String(cString: $0) }) + "/agent.sock"
    }

    private func serving<R>(
        allowed: @escaping @Sendable (UInt32) -> Bool = { _ in true }, _ body: () async throws -> R
    ) async throws -> R {
        let changes = LocalServer.Changes(isAllowed: allowed) { path, body in
            .init(body: Array("\(path) \(body.count)".utf8))
        }
        let server = try await LocalServer.start(
            path: path, group: MultiThreadedEventLoopGroup.singleton, changes: changes
        ) { _ in .init(body: Array("{}".utf8)) }
        let result: Result<R, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        await server.stop()
        return try result.get()
    }

    private func connection() -> Int32 {
        let connection = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(connection, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(result == 0)
        return connection
    }

    /// Sends and reads until the other side closes. Blocks, so it gets a thread of its own.
    private func exchange(_ request: String) async -> String {
        let connection = connection()
        return await withCheckedContinuation { continuation in
            let thread = try? DedicatedThread(name: "client") {
                _ = request.withCString { send(connection, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
                var answer: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 4096)
                while true {
                    let count = read(connection, &buffer, buffer.count)
                    guard count > 0 else { break }
                    answer += buffer[0..<count]
                }
                close(connection)
                continuation.resume(returning: String(decoding: answer, as: UTF8.self))
            }
            if thread == nil { continuation.resume(returning: "no thread") }
        }
    }

    @Test func theKernelSaysWhoAsksForAChange() async throws {
        let seen = Mutex<[UInt32]>([])
        let record: @Sendable (UInt32) -> Bool = { uid in
            seen.withLock { $0.append(uid) }
            return true
        }
        let answer = try await serving(allowed: record) {
            try await LocalClient.post("/v1/x", [1, 2, 3], socket: path)
        }
        #expect(answer == Array("/v1/x 3".utf8))
        #expect(seen.withLock { $0 } == [geteuid()])
    }

    @Test func whoMayNotIsToldWhoMay() async throws {
        let error = try await serving(allowed: { _ in false }) {
            await #expect(throws: LocalClient.Failure.self) {
                try await LocalClient.post("/v1/x", [], socket: path)
            }
        }
        #expect(error?.description.contains("agent.allowed_users") == true)
        try await serving(allowed: { _ in false }) { _ = try await LocalClient.get("/v1/x", socket: path) }
    }

    @Test func anotherVerbChangesNothing() async throws {
        let answer = try await serving { await exchange("DELETE /v1/x HTTP/1.1\r\nHost: x\r\n\r\n") }
        #expect(answer.hasPrefix("HTTP/1.1 405"))
    }

    @Test func aRequestAboveTheLimitIsCutOff() async throws {
        let body = String(repeating: "a", count: LocalServer.maximumRequestBytes)
        let answers = try await serving {
            [
                await exchange("POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"),
                await exchange("GET /v1/x HTTP/1.1\r\nHost: x\r\nX: \(body)\r\n\r\n"),
                await exchange("POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"),
            ]
        }
        #expect(answers[0] == "" && answers[1] == "")
        #expect(answers[2].hasSuffix("/v1/x 3"))
    }

    @Test func aConnectionThatSaysNothingIsClosedAfterTheDeadline() async throws {
        #expect(try await serving { await exchange("GET /v1/x HTTP/1.1\r\n") } == "")
    }

    @Test func furtherConnectionsWaitUntilOneEnds() async throws {
        try await serving {
            var idle: [Int32] = []
            for _ in 0..<LocalServer.maximumConnections { idle.append(connection()) }
            let late = connection()
            defer { close(late) }
            let request = "GET /v1/x HTTP/1.1\r\nHost: x\r\n\r\n"
            #expect(request.withCString { send(late, $0, strlen($0), Int32(MSG_NOSIGNAL)) } == request.utf8.count)
            // Connected by the kernel, and not served, long before the others' deadline lets it in.
            #expect(await isReadable(late, milliseconds: 500) == false)
            for connection in idle { close(connection) }
            #expect(await isReadable(late, milliseconds: 60_000))
        }
    }

    /// Whether bytes come in time. Blocks, so it gets a thread of its own.
    private func isReadable(_ connection: Int32, milliseconds: Int32) async -> Bool {
        await withCheckedContinuation { continuation in
            let thread = try? DedicatedThread(name: "poll") {
                var poll = pollfd(fd: connection, events: Int16(POLLIN), revents: 0)
                continuation.resume(returning: Glibc.poll(&poll, 1, milliseconds) == 1)
            }
            if thread == nil { continuation.resume(returning: false) }
        }
    }
}
