import FoundationEssentials
import Glibc

/// The bytes of a record: a CloudEvents 1.0 event in structured JSON mode (CloudEvents JSON format 1.0.2).
///
/// `id` is `EPOCH:SEQ`, `source` is `//packet/pods/POD_UID`; both together are unique, as the specification asks.
public enum CloudEvent {
    /// `type` of an observed interval.
    public static let intervalType = "com.packet.gpu.usage.v1"
    /// `type` of a declared gap.
    public static let gapType = "com.packet.gpu.gap.v1"
    /// The largest event that is read, in bytes (CloudEvents 1.0.2, section Size Limits).
    public static let maximumBytes = 64 << 10

    /// The event's bytes, the same for the same record on every machine.
    public static func encode(_ record: UsageRecord) -> [UInt8] {
        var json = JSONText()
        json.open()
        json.member("specversion", "1.0")
        json.member("id", "\(record.epoch):\(record.seq)")
        json.member("source", source(ofPod: record.podUID))
        let isGap = if case .gap = record.content { true } else { false }
        json.member("type", isGap ? gapType : intervalType)
        json.member("subject", record.podUID)
        json.member("time", timestamp(record.endRealtimeMilliseconds))
        json.member("datacontenttype", "application/json")
        json.open("data")
        json.member("pod_uid", record.podUID)
        json.member("epoch", record.epoch)
        json.member("seq", record.seq)
        json.member("gpu_uuid", record.gpuUUID)
        json.member("boot_id", record.bootID)
        json.member("start_ms", record.startMilliseconds)
        json.member("end_ms", record.endMilliseconds)
        json.member("end_realtime_ms", record.endRealtimeMilliseconds)
        switch record.content {
        case .gap(let cause): json.member("cause", cause.rawValue)
        case .interval(let seen):
            json.member("observed_ms", seen.observedMilliseconds)
            if let busy = seen.busyMilliseconds { json.member("busy_ms", busy) }
            if let energy = seen.energyMillijoules { json.member("energy_mj", energy) }
            if seen.energyReset { json.member("energy_reset", literal: "true") }
            if let memory = seen.memoryByteMilliseconds { json.member("memory_byte_ms", memory) }
            json.member("samples", seen.samples)
            json.member("expected_samples", seen.expectedSamples)
        }
        json.close()
        json.close()
        return json.bytes
    }

    /// Reads an event back.
    ///
    /// - Throws: ``RecordError`` naming the rule it breaks. Unknown members are ignored, as CloudEvents asks.
    public static func decode(_ bytes: some Collection<UInt8>) throws(RecordError) -> UsageRecord {
        guard bytes.count <= maximumBytes else { throw RecordError("the event is larger than \(maximumBytes) bytes") }
        let event: Wire
        do { event = try JSONDecoder().decode(Wire.self, from: Data(bytes)) } catch {
            throw RecordError("the event is not a usage event: \(Self.reason(error))")
        }
        let data = event.data
        guard event.specversion == "1.0" else { throw RecordError("specversion is not 1.0") }
        guard event.id == "\(data.epoch):\(data.seq)" else { throw RecordError("id is not EPOCH:SEQ of its data") }
        guard event.source == source(ofPod: data.pod_uid) else {
            throw RecordError("source does not name the pod of its data")
        }
        guard data.epoch.utf8.count == 32,
            data.epoch.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) })
        else { throw RecordError("epoch is not 32 lower-case hexadecimal digits") }
        guard data.start_ms < data.end_ms else { throw RecordError("the span is empty or ends before it starts") }
        guard (1...128).contains(data.gpu_uuid.utf8.count), (1...128).contains(data.pod_uid.utf8.count),
            data.boot_id.utf8.count <= 64
        else { throw RecordError("gpu_uuid, pod_uid or boot_id has an impossible length") }
        return UsageRecord(
            podUID: data.pod_uid, epoch: data.epoch, seq: data.seq, gpuUUID: data.gpu_uuid, bootID: data.boot_id,
            startMilliseconds: data.start_ms, endMilliseconds: data.end_ms,
            endRealtimeMilliseconds: data.end_realtime_ms,
            content: try content(event))
    }

    private static func content(_ event: Wire) throws(RecordError) -> UsageRecord.Content {
        let data = event.data
        switch event.type {
        case gapType:
            guard let cause = data.cause.flatMap(UsageRecord.GapCause.init(rawValue:)) else {
                throw RecordError("cause is missing or unknown")
            }
            return .gap(cause)
        case intervalType:
            guard let observed = data.observed_ms, let samples = data.samples, let expected = data.expected_samples
            else {
                throw RecordError("observed_ms, samples or expected_samples is missing")
            }
            guard observed <= data.end_ms - data.start_ms else {
                throw RecordError("observed_ms is longer than the span")
            }
            if let busy = data.busy_ms, busy > observed { throw RecordError("busy_ms is longer than observed_ms") }
            return .interval(
                .init(
                    observedMilliseconds: observed, busyMilliseconds: data.busy_ms, energyMillijoules: data.energy_mj,
                    energyReset: data.energy_reset ?? false, memoryByteMilliseconds: data.memory_byte_ms,
                    samples: samples, expectedSamples: expected))
        default: throw RecordError("type is unknown")
        }
    }

    private static func reason(_ error: any Error) -> String {
        switch error as? DecodingError {
        case .keyNotFound(let key, _): "\(key.stringValue) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "\(context.codingPath.map(\.stringValue).joined(separator: ".")) has the wrong type"
        default: "not valid JSON"
        }
    }

    /// The `source` of all events of a pod.
    public static func source(ofPod uid: String) -> String { "//packet/pods/\(uid)" }

    /// RFC 3339 with milliseconds, in UTC.
    public static func timestamp(_ milliseconds: Int64) -> String {
        let (seconds, rest) = milliseconds.quotientAndRemainder(dividingBy: 1000)
        var time = time_t(rest < 0 ? seconds - 1 : seconds)
        var fields = tm()
        gmtime_r(&time, &fields)
        func pad(_ value: some BinaryInteger, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        let date = "\(pad(Int(fields.tm_year) + 1900, 4))-\(pad(fields.tm_mon + 1, 2))-\(pad(fields.tm_mday, 2))"
        let clock = "\(pad(fields.tm_hour, 2)):\(pad(fields.tm_min, 2)):\(pad(fields.tm_sec, 2))"
        return "\(date)T\(clock).\(pad(rest < 0 ? rest + 1000 : rest, 3))Z"
    }

    // Names are the wire's.
    private struct Wire: Decodable {
        var specversion: String
        var id: String
        var source: String
        var type: String
        var data: Fields

        struct Fields: Decodable {
            var pod_uid: String
            var epoch: String
            var seq: UInt64
            var gpu_uuid: String
            var boot_id: String
            var start_ms: UInt64
            var end_ms: UInt64
            var end_realtime_ms: Int64
            var cause: String?
            var observed_ms: UInt64?
            var busy_ms: UInt64?
            var energy_mj: UInt64?
            var energy_reset: Bool?
            var memory_byte_ms: UInt64?
            var samples: UInt64?
            var expected_samples: UInt64?
        }
    }
}
