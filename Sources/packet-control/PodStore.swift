import ControlPlaneAPI
import GRDB

extension Store {
    /// Keeps a pod's latest hello as it was sent.
    func keep(hello: [UInt8], ofPod uid: String, now: Timestamp) async throws {
        try await pool.write { db in
            try db.execute(
                sql: """
                    INSERT INTO pod (uid, hello, hello_ms) VALUES (?, ?, ?)
                    ON CONFLICT (uid) DO UPDATE SET hello = excluded.hello, hello_ms = excluded.hello_ms
                    """, arguments: [uid, String(decoding: hello, as: UTF8.self), now.milliseconds])
        }
    }

    /// Keeps a pod's latest report as it was sent.
    func keep(report: [UInt8], ofPod uid: String, now: Timestamp) async throws {
        try await pool.write { db in
            try db.execute(
                sql: """
                    INSERT INTO pod (uid, report, report_ms) VALUES (?, ?, ?)
                    ON CONFLICT (uid) DO UPDATE SET report = excluded.report, report_ms = excluded.report_ms
                    """, arguments: [uid, String(decoding: report, as: UTF8.self), now.milliseconds])
        }
    }

    /// One row of the fleet page.
    struct FleetRow: Sendable {
        var subscription: Subscription
        var volumeName: String?
        var helloAt: Timestamp?
        var hello: HelloRequest?
        var report: PodReport?
        var observedMilliseconds: UInt64
        var gapMilliseconds: UInt64
        var lastRecordAt: Timestamp?
    }

    /// The latest subscriptions of a team with what their pods told, newest first.
    func fleet(of team: String, limit: Int = 200) async throws -> [FleetRow] {
        try await pool.read { db in
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT s.*, v.name AS volume_name, p.hello, p.hello_ms, p.report,
                    (SELECT total(observed_ms) FROM usage_account a WHERE a.pod_uid = s.pod_uid) AS observed,
                    (SELECT total(gap_ms) FROM usage_gap g WHERE g.pod_uid = s.pod_uid) AS gaps,
                    (SELECT max(received_ms) FROM usage_record r WHERE r.rowid =
                        (SELECT max(rowid) FROM usage_record WHERE pod_uid = s.pod_uid)) AS last_record_ms
                    FROM subscription s LEFT JOIN volume v ON v.id = s.volume_id LEFT JOIN pod p ON p.uid = s.pod_uid
                    WHERE s.team = ? ORDER BY s.number DESC LIMIT ?
                    """, arguments: [team, limit])
            return rows.map { row in
                func value<Value: Decodable>(_ column: String, _ type: Value.Type) -> Value? {
                    (row[column] as String?).flatMap { try? Call.decode(type, from: Array($0.utf8)) }
                }
                // A pod can claim any time; the sum over its GPUs may leave 64 bits.
                func clamped(_ column: String) -> UInt64 { UInt64(min(row[column] as Double, 1e18)) }
                return FleetRow(
                    subscription: Subscription(row: row), volumeName: row["volume_name"],
                    helloAt: row.timestamp("hello_ms"),
                    hello: value("hello", HelloRequest.self), report: value("report", PodReport.self),
                    observedMilliseconds: clamped("observed"), gapMilliseconds: clamped("gaps"),
                    lastRecordAt: row.timestamp("last_record_ms"))
            }
        }
    }
}
