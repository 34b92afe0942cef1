import ControlPlaneAPI
import GRDB
import Ledger
import UsageRecord

/// The ledger's memory inside one transaction of the database.
struct UsageStore: LedgerStore {
    let db: Database
    let now: Timestamp

    func entry(pod: String, key: Event.Key) throws -> LedgerEntry? {
        let arguments: StatementArguments = [pod, key.epoch, Int64(key.seq)]
        if let sha256 = try String.fetchOne(
            db.cachedStatement(sql: "SELECT sha256 FROM usage_record WHERE pod_uid = ? AND epoch = ? AND seq = ?"),
            arguments: arguments)
        {
            return LedgerEntry(sha256: sha256)
        }
        let refused = try Row.fetchOne(
            db.cachedStatement(
                sql: "SELECT sha256, reason FROM usage_refusal WHERE pod_uid = ? AND epoch = ? AND seq = ?"),
            arguments: arguments)
        return refused.map {
            let reason: String = $0["reason"]
            return LedgerEntry(sha256: $0["sha256"], refusal: Refusal(reason) ?? .malformed(reason))
        }
    }

    // Kept spans do not overlap, so only the last that starts before this one's end can reach into it.
    func hasOverlap(with record: UsageRecord) throws -> Bool {
        let end = try Int64.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT end_ms FROM usage_record WHERE pod_uid = ? AND boot_id = ? AND gpu_uuid = ? AND start_ms < ?
                    ORDER BY start_ms DESC LIMIT 1
                    """),
            arguments: [record.podUID, record.bootID, record.gpuUUID, Int64(record.endMilliseconds)])
        return end.map { UInt64($0) > record.startMilliseconds } ?? false
    }

    func account(pod: String, gpu: String) throws -> Account? {
        guard
            let row = try Row.fetchOne(
                db.cachedStatement(sql: "SELECT * FROM usage_account WHERE pod_uid = ? AND gpu_uuid = ?"),
                arguments: [pod, gpu])
        else { return nil }
        var account = Account()
        account.intervalMilliseconds = row["interval_ms"]
        account.observedMilliseconds = row["observed_ms"]
        account.busyMilliseconds = row["busy_ms"]
        account.energyMillijoules = row["energy_mj"]
        account.energyIsLowerBound = row["energy_is_lower_bound"]
        account.memoryByteMilliseconds = (row["memory_byte_ms"] as String?).flatMap { UInt128($0) }
        account.records = row["records"]
        let gaps = try Row.fetchAll(
            db.cachedStatement(sql: "SELECT cause, gap_ms FROM usage_gap WHERE pod_uid = ? AND gpu_uuid = ?"),
            arguments: [pod, gpu])
        for gap in gaps {
            let name: String = gap["cause"]
            if let cause = UsageRecord.GapCause(rawValue: name) { account.gapMilliseconds[cause] = gap["gap_ms"] }
        }
        return account
    }

    func gpuCount(pod: String) throws -> Int {
        try Int.fetchOne(
            db.cachedStatement(sql: "SELECT count(*) FROM usage_account WHERE pod_uid = ?"), arguments: [pod]) ?? 0
    }

    func mark(pod: String, epoch: UsageRecord.Epoch) throws -> UInt64? {
        try UInt64.fetchOne(
            db.cachedStatement(sql: "SELECT through_seq FROM usage_mark WHERE pod_uid = ? AND epoch = ?"),
            arguments: [pod, epoch])
    }

    mutating func insert(_ event: Event, record: UsageRecord, account: Account) throws {
        var seen: UsageRecord.Observation?
        var cause: String?
        switch record.content {
        case .gap(let why): cause = why.rawValue
        case .interval(let observation): seen = observation
        }
        try db.cachedStatement(
            sql: """
                INSERT INTO usage_record (pod_uid, epoch, seq, sha256, gpu_uuid, boot_id, start_ms, end_ms, end_realtime_ms,
                cause, observed_ms, busy_ms, energy_mj, energy_reset, memory_byte_ms, event, received_ms)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            record.podUID, record.epoch, Int64(record.seq), event.sha256, record.gpuUUID, record.bootID,
            Int64(record.startMilliseconds), Int64(record.endMilliseconds), record.endRealtimeMilliseconds, cause,
            seen.map { Int64($0.observedMilliseconds) }, seen?.busyMilliseconds.map(Int64.init),
            seen?.energyMillijoules.map(Int64.init), seen?.energyReset ?? false,
            seen?.memoryByteMilliseconds.map(Int64.init), Self.blob(event), now.milliseconds,
        ])
        try db.cachedStatement(
            sql: """
                INSERT INTO usage_account VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (pod_uid, gpu_uuid) DO UPDATE SET interval_ms = excluded.interval_ms,
                observed_ms = excluded.observed_ms, busy_ms = excluded.busy_ms, energy_mj = excluded.energy_mj,
                energy_is_lower_bound = excluded.energy_is_lower_bound, memory_byte_ms = excluded.memory_byte_ms,
                records = excluded.records
                """
        ).execute(arguments: [
            record.podUID, record.gpuUUID, Int64(account.intervalMilliseconds), Int64(account.observedMilliseconds),
            account.busyMilliseconds.map(Int64.init), account.energyMillijoules.map(Int64.init),
            account.energyIsLowerBound, account.memoryByteMilliseconds.map { String($0) }, Int64(account.records),
        ])
        guard case .gap(let why) = record.content, let total = account.gapMilliseconds[why] else { return }
        try db.cachedStatement(
            sql: """
                INSERT INTO usage_gap VALUES (?, ?, ?, ?)
                ON CONFLICT (pod_uid, gpu_uuid, cause) DO UPDATE SET gap_ms = excluded.gap_ms
                """
        ).execute(arguments: [record.podUID, record.gpuUUID, why.rawValue, Int64(total)])
    }

    mutating func remember(_ refusal: Refusal, of event: Event, from pod: String) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO usage_refusal VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (pod_uid, epoch, seq) DO NOTHING
                """
        ).execute(arguments: [
            pod, event.key.epoch, Int64(event.key.seq), event.sha256, refusal.description, Self.blob(event),
            now.milliseconds,
        ])
    }

    // Evidence of a bug or of fraud; the first hundred of a pod are enough, and nobody can fill the disk with it.
    mutating func noteConflict(_ event: Event, from pod: String) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO usage_conflict SELECT ?1, ?2, ?3, ?4, ?5, ?6
                WHERE (SELECT count(*) FROM usage_conflict WHERE pod_uid = ?1) < 100
                ON CONFLICT (pod_uid, epoch, seq, sha256) DO NOTHING
                """
        ).execute(arguments: [
            pod, event.key.epoch, Int64(event.key.seq), event.sha256, Self.blob(event), now.milliseconds,
        ])
    }

    mutating func setMark(pod: String, epoch: UsageRecord.Epoch, through: UInt64) throws {
        try db.cachedStatement(
            sql: """
                INSERT INTO usage_mark VALUES (?, ?, ?, ?) ON CONFLICT (pod_uid, epoch)
                DO UPDATE SET through_seq = excluded.through_seq, updated_ms = excluded.updated_ms
                """
        ).execute(arguments: [pod, epoch, Int64(through), now.milliseconds])
    }

    private static func blob(_ event: Event) -> DatabaseValue { Blob.value(event.bytes) }
}

extension Store {
    /// Puts a batch into the ledger; when this returns, what it acknowledges is on disk.
    func receive(_ events: [Event], body: [UInt8], from pod: String, now: Timestamp) async throws -> Acknowledgement {
        try await pool.write { db in
            var store = UsageStore(db: db, now: now)
            return try Ledger.apply(events, from: pod, to: &store).acknowledgement(of: body)
        }
    }

    /// The high-water marks of a pod's latest 64 epochs, and of those named.
    func marks(ofPod pod: String, including epochs: [String]) async throws -> [DurableMark] {
        try await pool.read { db in
            let named = databaseQuestionMarks(count: epochs.count)
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT epoch, through_seq FROM usage_mark WHERE pod_uid = ? AND (epoch IN (\(named)) OR epoch IN
                    (SELECT epoch FROM usage_mark WHERE pod_uid = ? ORDER BY updated_ms DESC LIMIT 64)) ORDER BY updated_ms
                    """, arguments: [pod] + StatementArguments(epochs) + [pod])
            return rows.map { DurableMark(epoch: $0["epoch"], throughSeq: $0["through_seq"]) }
        }
    }
}
