import Testing

@testable import Telemetry

@Suite struct OTLPLogsTests {
    private let logs = OTLPLogs(resource: [("service.name", "packet-agent")], version: "1")

    /// The fields of a message with one number, at a path of message numbers.
    private func fields(_ bytes: ArraySlice<UInt8>, at path: [UInt64]) -> [ArraySlice<UInt8>] {
        guard let first = path.first else { return [bytes] }
        var reader = ProtobufReader(bytes)
        var found: [ArraySlice<UInt8>] = []
        while let (field, value) = reader.next() {
            if field == first, case .bytes(let inner) = value { found += fields(inner, at: Array(path.dropFirst())) }
        }
        return found
    }

    private func texts(_ request: [UInt8], at path: [UInt64]) -> [String] {
        fields(request[...], at: path).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func aLineIsALogRecordWithItsSeverityAndAttributes() throws {
        let record = OTLPLogs.Record(
            observedUnixNanoseconds: 7, severity: .error, body: "no such package",
            attributes: [("log.file.name", "setup.log")])
        let requests = logs.encode([record])
        let request = try #require(requests.first)
        // ExportLogsServiceRequest.resource_logs, ResourceLogs.scope_logs, ScopeLogs.log_records.
        #expect(texts(request, at: [1, 2, 2, 5, 1]) == ["no such package"])
        #expect(texts(request, at: [1, 2, 2, 3]) == ["ERROR"])
        #expect(texts(request, at: [1, 2, 2, 6, 1]) == ["log.file.name"])
        #expect(texts(request, at: [1, 2, 2, 6, 2, 1]) == ["setup.log"])
        #expect(texts(request, at: [1, 1, 1, 2, 1]) == ["packet-agent"])
        #expect(logs.encode([]).isEmpty)
    }

    @Test func manyAndLongLinesBecomeSeveralRequestsInOrder() {
        let lines = (0..<40).map { "\($0) " + String(repeating: "x", count: 100_000) }
        let requests = logs.encode(lines.map { .init(observedUnixNanoseconds: 1, body: $0) })
        #expect(requests.count > 1)
        #expect(requests.allSatisfy { $0.count <= OTLPLogs.largestBatch })
        let bodies = requests.flatMap { texts($0, at: [1, 2, 2, 5, 1]) }
        #expect(bodies.map { $0.split(separator: " ").first.flatMap { Int($0) } } == Array(0..<40))
        #expect(bodies.allSatisfy { $0.utf8.count == OTLPLogs.longestBody })
    }
}
