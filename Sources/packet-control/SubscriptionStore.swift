import ControlPlaneAPI
import GRDB
import HTTPTypes

extension PodShape {
    static let columns =
        "display_name, pool_id, pool_name, vgpus, instance_type_id, image_uuid, hf_item_id, deploy_script"

    init(row: Row) {
        self.init(
            displayName: row["display_name"], poolID: row["pool_id"], poolName: row["pool_name"], vgpus: row["vgpus"],
            instanceTypeID: row["instance_type_id"], imageUUID: row["image_uuid"], hfItemID: row["hf_item_id"],
            deployScript: row["deploy_script"])
    }

    var arguments: StatementArguments {
        [displayName, poolID, poolName, vgpus, instanceTypeID, imageUUID, hfItemID, deployScript]
    }
}

extension Subscription {
    init(row: Row) {
        let endedAt = row.timestamp("ended_ms")
        self.init(
            id: row["id"], podUID: row["pod_uid"], shape: PodShape(row: row),
            sharedVolumeIDs: (row["volume_id"] as Int64?).map { [$0] } ?? [], state: endedAt == nil ? .active : .ended,
            snapshotID: row["snapshot_id"], createdAt: Timestamp(milliseconds: row["created_ms"]), endedAt: endedAt)
    }
}

extension Store {
    /// The pod that a token belongs to, while its subscription lasts.
    func pod(withToken secret: Secret) async throws -> PodIdentity? {
        let found = try await pool.read { db -> (pod: PodIdentity, sha256: String)? in
            let row = try Row.fetchOne(
                db,
                sql: "SELECT id, team, pod_uid, token_sha256 FROM subscription WHERE token_id = ? AND ended_ms IS NULL",
                arguments: [secret.id])
            return row.map {
                (PodIdentity(uid: $0["pod_uid"], subscriptionID: $0["id"], team: $0["team"]), $0["token_sha256"])
            }
        }
        guard let found, secret.matches(sha256: found.sha256) else { return nil }
        return found.pod
    }

    func subscriptions(of team: String, after cursor: Int64) async throws -> SubscriptionList {
        try await pool.read { db in
            let rows = try Row.fetchAll(
                db, sql: "SELECT * FROM subscription WHERE team = ? AND number > ? ORDER BY number LIMIT ?",
                arguments: [team, cursor, Page.size + 1])
            return SubscriptionList(
                subscriptions: rows.prefix(Page.size).map(Subscription.init(row:)),
                nextCursor: Page.cursor(after: rows, column: "number"))
        }
    }

    func subscription(_ id: String, of team: String) async throws -> Subscription? {
        try await pool.read { db in try Self.subscription(id, of: team, in: db) }
    }

    static func subscription(_ id: String, of team: String, in db: Database) throws -> Subscription? {
        try Row.fetchOne(db, sql: "SELECT * FROM subscription WHERE id = ? AND team = ?", arguments: [id, team])
            .map(Subscription.init(row:))
    }

    func subscription(ofPod uid: String, of team: String) async throws -> Subscription? {
        try await pool.read { db in
            try Row.fetchOne(
                db, sql: "SELECT * FROM subscription WHERE pod_uid = ? AND team = ?", arguments: [uid, team]
            )
            .map(Subscription.init(row:))
        }
    }

    /// Allocates a pod, and attaches a volume to it, or does neither.
    func createSubscription(
        _ request: SubscriptionRequest, of team: String, secret: Secret, now: Timestamp
    ) async throws -> Subscription {
        try await pool.write { db in
            try Self.insertSubscription(
                shape: request.shape, volume: request.sharedVolumeIDs.first, podUID: request.podUID, snapshot: nil,
                of: team,
                secret: secret, now: now, in: db)
        }
    }

    static func insertSubscription(
        shape: PodShape, volume: Int64?, podUID: String?, snapshot: String?, of team: String, secret: Secret,
        now: Timestamp,
        in db: Database
    ) throws -> Subscription {
        let uid = podUID ?? Secret.uuid()
        guard try Int.fetchOne(db, sql: "SELECT 1 FROM subscription WHERE pod_uid = ?", arguments: [uid]) == nil else {
            throw APIFailure.conflict("pod_exists", "podUid was used before: every pod has a UID of its own")
        }
        let id = "sub-" + Secret.hexadecimal(8)
        try db.execute(
            sql: """
                INSERT INTO subscription (id, team, pod_uid, \(PodShape.columns), volume_id, snapshot_id, token_id, token_sha256,
                created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [id, team, uid] + shape.arguments + [
                volume, snapshot, secret.id, secret.sha256, now.milliseconds,
            ])
        if let volume { try attach(volume, to: id, of: team, in: db) }
        guard var made = try subscription(id, of: team, in: db) else { throw APIFailure.notFound("subscription") }
        made.podToken = secret.text
        return made
    }

    /// Ends an allocation: frees its volume and revokes its token. One that has ended stays as it is.
    ///
    /// - Parameter confirmed: whether loss of what the last report names is accepted.
    func endSubscription(_ id: String, of team: String, confirmed: Bool, now: Timestamp) async throws -> Subscription {
        try await pool.write { db in
            guard let subscription = try Self.subscription(id, of: team, in: db) else {
                throw APIFailure.notFound("subscription")
            }
            guard subscription.state == .active else { return subscription }
            if !confirmed { try Self.refuseLoss(of: subscription.podUID, in: db) }
            try db.execute(
                sql: "UPDATE subscription SET ended_ms = max(?, created_ms) WHERE id = ?",
                arguments: [now.milliseconds, id])
            try db.execute(sql: "UPDATE volume SET subscription_id = NULL WHERE subscription_id = ?", arguments: [id])
            return try Self.subscription(id, of: team, in: db) ?? subscription
        }
    }

    // Not known is not nothing: a pod that never reported is refused too.
    private static func refuseLoss(of pod: String, in db: Database) throws {
        let report = try String.fetchOne(db, sql: "SELECT report FROM pod WHERE uid = ?", arguments: [pod])
        let atRisk = try report.flatMap { try Call.decode(PodReport.self, from: Array($0.utf8)).atRisk }
        if let atRisk, atRisk.totalBytes == 0, atRisk.totalFiles == 0, atRisk.complete { return }
        let loss =
            atRisk.map {
                "its last report, of \($0.asOf), names \($0.totalBytes) bytes in \($0.totalFiles) files"
                    + ($0.complete ? "" : " and had not looked everywhere")
            } ?? "it has not reported what is at risk"
        throw APIFailure(
            .conflict, ErrorAnswer.Problem.dataAtRisk,
            "terminating the pod destroys what is not on a volume; \(loss): save it, or repeat with ?confirm=loss",
            atRisk: atRisk)
    }
}

/// Lists are given in pages.
enum Page {
    static let size = 200

    static func cursor(after rows: [Row], column: String) -> String? {
        guard rows.count > size, let last: Int64 = rows[size - 1][column] else { return nil }
        return String(last)
    }
}
