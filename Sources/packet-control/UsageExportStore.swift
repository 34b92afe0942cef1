import ControlPlaneAPI
import GRDB
import Ledger
import UsageRecord

/// Where the next page of the export begins: subscriptions first, then volumes.
struct ExportCursor: Sendable, Equatable {
    enum Part: String, Sendable { case subscriptions = "s", volumes = "v" }
    var part: Part
    var after: Int64

    init(part: Part, after: Int64) {
        self.part = part
        self.after = after
    }

    init(_ text: String?) throws {
        guard let text else {
            self.init(part: .subscriptions, after: 0)
            return
        }
        guard let part = text.first.flatMap({ Part(rawValue: String($0)) }), let after = Int64(text.dropFirst()),
            after >= 0
        else {
            throw APIFailure.invalid("cursor is not one that this server gave out: leave it out to start anew")
        }
        self.init(part: part, after: after)
    }

    var text: String { part.rawValue + String(after) }
}

extension Store {
    /// One page of the billing export.
    func usage(
        of team: String, from: Timestamp, to: Timestamp, asOf: Timestamp, cursor: ExportCursor, pageSize: Int = 100
    ) async throws -> UsageExport {
        try await pool.read { db in
            var export = UsageExport(
                from: from, to: to, asOf: asOf, completeThrough: min(to, asOf), subscriptions: [], volumes: [])
            let active = try Row.fetchCursor(
                db, sql: "SELECT * FROM subscription WHERE team = ? AND ended_ms IS NULL AND created_ms < ?",
                arguments: [team, to.milliseconds])
            while let row = try active.next() {
                export.completeThrough = min(
                    export.completeThrough, try Self.completeThrough(Subscription(row: row), to: to, asOf: asOf, in: db)
                )
            }
            export.completeThrough = max(export.completeThrough, from)
            var next = cursor
            if next.part == .subscriptions {
                let rows = try Row.fetchAll(
                    db,
                    sql: """
                        SELECT * FROM subscription WHERE team = ? AND number > ? AND created_ms < ?
                        AND (ended_ms IS NULL OR ended_ms > ?) ORDER BY number LIMIT ?
                        """, arguments: [team, next.after, to.milliseconds, from.milliseconds, pageSize + 1])
                for row in rows.prefix(pageSize) {
                    export.subscriptions.append(
                        try Self.usage(of: Subscription(row: row), from: from, to: to, asOf: asOf, in: db))
                }
                guard rows.count <= pageSize else {
                    export.nextCursor = ExportCursor(part: .subscriptions, after: rows[pageSize - 1]["number"]).text
                    return export
                }
                next = ExportCursor(part: .volumes, after: 0)
            }
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT * FROM volume WHERE team = ? AND id > ? AND created_ms < ? AND (deleted_ms IS NULL OR deleted_ms > ?)
                    ORDER BY id LIMIT ?
                    """, arguments: [team, next.after, to.milliseconds, from.milliseconds, pageSize + 1])
            export.volumes = rows.prefix(pageSize).map {
                Self.usage(of: SharedVolume(row: $0), from: from, to: to, asOf: asOf)
            }
            if rows.count > pageSize {
                export.nextCursor = ExportCursor(part: .volumes, after: rows[pageSize - 1]["id"]).text
            }
            return export
        }
    }

    /// How much of a life lies inside a window, in milliseconds.
    static func overlap(_ start: Timestamp, _ end: Timestamp, from: Timestamp, to: Timestamp) -> UInt64 {
        UInt64(max(0, min(end, to).milliseconds - max(start, from).milliseconds))
    }

    static func usage(of volume: SharedVolume, from: Timestamp, to: Timestamp, asOf: Timestamp)
        -> UsageExport.VolumeUsage
    {
        let end = min(volume.deletedAt ?? asOf, asOf)
        // Hour k of the volume's life begins k hours after its creation; it is billed where it begins.
        func hoursBegun(before instant: Timestamp) -> Int64 {
            let age = min(instant, end).milliseconds - volume.createdAt.milliseconds
            return age <= 0 ? 0 : (age - 1) / 3_600_000 + 1
        }
        return .init(
            volumeID: volume.id, name: volume.name, sizeGB: volume.sizeGB,
            allocatedMilliseconds: overlap(volume.createdAt, end, from: from, to: to),
            billedHours: UInt64(max(0, hoursBegun(before: to) - hoursBegun(before: from))))
    }

    private static func usage(
        of subscription: Subscription, from: Timestamp, to: Timestamp, asOf: Timestamp, in db: Database
    ) throws -> UsageExport.SubscriptionUsage {
        let allocated = overlap(
            subscription.createdAt, min(subscription.endedAt ?? asOf, asOf), from: from, to: to)
        let gpus = try accounts(ofPod: subscription.podUID, from: from, to: to, in: db).map { uuid, account in
            let gaps = account.totalGapMilliseconds ?? Ledger.maximumNumber
            return UsageExport.GPU(
                uuid: uuid, intervalMilliseconds: account.intervalMilliseconds,
                observedMilliseconds: account.observedMilliseconds,
                gapMilliseconds: Dictionary(uniqueKeysWithValues: account.gapMilliseconds.map { ($0.rawValue, $1) }),
                busyMilliseconds: account.busyMilliseconds, energyMillijoules: account.energyMillijoules,
                energyIsLowerBound: account.energyIsLowerBound,
                memoryByteMilliseconds: account.memoryByteMilliseconds.map { String($0) },
                discrepancyMilliseconds: difference(allocated, account.observedMilliseconds, gaps))
        }
        let observed = sum(gpus.map(\.observedMilliseconds))
        let gaps = sum(gpus.flatMap(\.gapMilliseconds.values))
        let allocatedGPU = sum(Array(repeating: allocated, count: subscription.shape.vgpus))
        return .init(
            subscriptionID: subscription.id, podUID: subscription.podUID, poolID: subscription.shape.poolID,
            vgpus: subscription.shape.vgpus, allocatedMilliseconds: allocated, allocatedGPUMilliseconds: allocatedGPU,
            observedMilliseconds: observed, gapMilliseconds: gaps,
            discrepancyMilliseconds: difference(allocatedGPU, observed, gaps),
            completeThrough: try completeThrough(subscription, to: to, asOf: asOf, in: db), gpus: gpus)
    }

    // A pod can claim any time on any number of GPUs, so sums over them stop at the largest number there is.
    private static func sum(_ values: [UInt64]) -> UInt64 {
        values.reduce(0) {
            min($0.addingReportingOverflow($1).overflow ? Ledger.maximumNumber : $0 + $1, Ledger.maximumNumber)
        }
    }

    private static func difference(_ allocated: UInt64, _ observed: UInt64, _ gaps: UInt64) -> Int64 {
        Int64(clamping: Int128(allocated) - Int128(observed) - Int128(gaps))
    }

    // What the ledger keeps of each GPU in the window, by the wall time of the records' ends.
    private static func accounts(
        ofPod pod: String, from: Timestamp, to: Timestamp, in db: Database
    ) throws -> [(String, Account)] {
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT gpu_uuid, cause, sum(end_ms - start_ms) AS span, sum(observed_ms) AS observed, sum(busy_ms) AS busy,
                sum(energy_mj) AS energy, max(energy_reset) AS reset, sum(memory_byte_ms >> 32) AS memory_high,
                sum(memory_byte_ms & 4294967295) AS memory_low, count(*) AS records
                FROM usage_record WHERE pod_uid = ? AND end_realtime_ms >= ? AND end_realtime_ms < ?
                GROUP BY gpu_uuid, cause ORDER BY gpu_uuid
                """, arguments: [pod, from.milliseconds, to.milliseconds])
        var accounts: [(String, Account)] = []
        for row in rows {
            let uuid: String = row["gpu_uuid"]
            if accounts.last?.0 != uuid { accounts.append((uuid, Account())) }
            var account = accounts[accounts.count - 1].1
            account.records += row["records"] as UInt64
            if let cause = (row["cause"] as String?).flatMap(UsageRecord.GapCause.init(rawValue:)) {
                account.gapMilliseconds[cause] = row["span"]
            } else {
                account.intervalMilliseconds = row["span"]
                account.observedMilliseconds = row["observed"]
                account.busyMilliseconds = row["busy"]
                account.energyMillijoules = row["energy"]
                account.energyIsLowerBound = row["reset"]
                if let high = row["memory_high"] as UInt64?, let low = row["memory_low"] as UInt64? {
                    account.memoryByteMilliseconds = UInt128(high) << 32 + UInt128(low)
                }
            }
            accounts[accounts.count - 1].1 = account
        }
        return accounts
    }

    // An ended pod cannot send any more. One that runs sends in order, so each GPU is complete up to its last record that
    // no hole stands before; the pod is as complete as its slowest GPU in the epoch that it writes now.
    private static func completeThrough(
        _ subscription: Subscription, to: Timestamp, asOf: Timestamp, in db: Database
    ) throws -> Timestamp {
        let end = min(to, asOf)
        guard subscription.state == .active else { return end }
        let slowest = try Int64.fetchOne(
            db,
            sql: """
                WITH latest AS (SELECT epoch FROM usage_record WHERE rowid =
                    (SELECT max(rowid) FROM usage_record WHERE pod_uid = :pod))
                SELECT min(last) FROM (
                    SELECT max(r.end_realtime_ms) AS last FROM usage_record r JOIN latest ON r.epoch = latest.epoch
                    LEFT JOIN usage_mark m ON m.pod_uid = r.pod_uid AND m.epoch = r.epoch AND r.seq <= m.through_seq
                    WHERE r.pod_uid = :pod AND m.epoch IS NOT NULL GROUP BY r.gpu_uuid)
                """, arguments: ["pod": subscription.podUID])
        return min(end, slowest.map(Timestamp.init(milliseconds:)) ?? subscription.createdAt)
    }
}
