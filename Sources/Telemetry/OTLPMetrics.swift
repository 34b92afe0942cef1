public import GPU

/// Turns snapshots into the bytes of OTLP metrics (`ExportMetricsServiceRequest`, opentelemetry-proto 1.x), with the
/// `hw.*` conventions and `packet.*` where those have nothing.
///
/// It remembers which series it told of. One that ends (a GPU is lost, an instance is destroyed) gets one last point with the
/// flag "no recorded value", so that no backend goes on showing the last one.
public struct OTLPMetrics: Sendable {
    /// What the resource is: `service.name`, `host.name`, `k8s.pod.uid`, ...
    public var resource: [(String, String)]
    /// The agent's version, as that of the instrumentation scope.
    public var version: String
    /// When the agent's counters started, nanoseconds since 1970.
    public var startUnixNanoseconds: UInt64

    /// The path of the standard (OTLP/HTTP).
    public static let path = "/v1/metrics"
    /// The body's type.
    public static let contentType = "application/x-protobuf"
    /// The semantic conventions that the names are from.
    static let schemaURL = "https://opentelemetry.io/schemas/1.44.0"

    private var told: [OTLPSeries: Int] = [:]
    private var toldBefore: [OTLPSeries: Int] = [:]

    /// Starts without having told of anything.
    public init(resource: [(String, String)], version: String, startUnixNanoseconds: UInt64) {
        self.resource = resource
        self.version = version
        self.startUnixNanoseconds = startUnixNanoseconds
    }

    /// The body of one request, or nil when there is nothing to tell. `time` is nanoseconds since 1970.
    public mutating func encode(_ snapshot: GPUSnapshot, time: UInt64) -> [UInt8]? {
        var points = OTLPPoints()
        points.collect(snapshot.withoutStaleReadings)
        return encode(points.all, time: time)
    }

    /// The body of the last request of all, which ends every series; nil when none was told of.
    public mutating func encodeEnd(time: UInt64) -> [UInt8]? { encode([], time: time) }

    /// The last body did not arrive: the ends of series in it are told again with the next one.
    public mutating func lastWasDropped() { told.merge(toldBefore) { now, _ in now } }

    private mutating func encode(_ collected: [OTLPPoint], time: UInt64) -> [UInt8]? {
        var points = collected
        var now: [OTLPSeries: Int] = [:]
        for point in points { now[point.series] = point.metric }
        for (series, metric) in told where now[series] == nil {
            points.append(OTLPPoint(metric: metric, series: series, value: nil))
        }
        toldBefore = told
        told = now
        guard !points.isEmpty else { return nil }
        let byMetric = Dictionary(grouping: points, by: \.metric)
        var request = ProtobufWriter()
        request.message(1) { metrics in
            metrics.message(1) { resource in
                for (key, value) in self.resource { resource.message(1) { Self.attribute(key, value, &$0) } }
            }
            metrics.message(2) { scope in
                scope.message(1) {
                    $0.string(1, "packet-agent")
                    $0.string(2, version)
                }
                for metric in byMetric.keys.sorted() {
                    scope.message(2) { encode(OTLPMetric.all[metric], byMetric[metric] ?? [], time, &$0) }
                }
                scope.string(3, Self.schemaURL)
            }
            metrics.string(3, Self.schemaURL)
        }
        return request.bytes
    }

    private func encode(_ metric: OTLPMetric, _ points: [OTLPPoint], _ time: UInt64, _ writer: inout ProtobufWriter) {
        writer.string(1, metric.name)
        writer.string(2, metric.description)
        writer.string(3, metric.unit)
        writer.message(metric.kind == .gauge ? 5 : 7) { data in
            for point in points.sorted(by: { $0.series < $1.series }) {
                data.message(1) { number in
                    if metric.kind != .gauge { number.fixed64(2, startUnixNanoseconds) }
                    number.fixed64(3, time)
                    switch point.value {
                    case .number(let value): number.double(4, value)
                    // sfixed64; a counter beyond 2^63 is none.
                    case .integer(let value): number.fixed64(6, min(value, UInt64(Int64.max)))
                    case nil: break
                    }
                    for (key, value) in point.series.attributes {
                        number.message(7) { Self.attribute(key, value, &$0) }
                    }
                    // NO_RECORDED_VALUE
                    if point.value == nil { number.uint(8, 1) }
                }
            }
            if metric.kind != .gauge {
                // Cumulative.
                data.uint(2, 2)
                if metric.kind == .counter { data.uint(3, 1) }
            }
        }
    }

    private static func attribute(_ key: String, _ value: String, _ writer: inout ProtobufWriter) {
        writer.string(1, key)
        writer.message(2) { $0.string(1, value) }
    }
}

/// One line in a backend: a metric's name with its attributes.
struct OTLPSeries: Sendable, Hashable, Comparable {
    let name: String
    let attributes: [(String, String)]

    static func == (a: OTLPSeries, b: OTLPSeries) -> Bool {
        a.name == b.name && a.attributes.elementsEqual(b.attributes) { $0 == $1 }
    }

    static func < (a: OTLPSeries, b: OTLPSeries) -> Bool {
        a.name != b.name ? a.name < b.name : a.attributes.lexicographicallyPrecedes(b.attributes) { $0 < $1 }
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(name)
        for (key, value) in attributes {
            hasher.combine(key)
            hasher.combine(value)
        }
    }
}

/// One value; nil says that the series ended.
struct OTLPPoint: Sendable {
    enum Value: Sendable, Equatable {
        case integer(UInt64)
        case number(Double)
    }

    let metric: Int
    let series: OTLPSeries
    let value: Value?
}
