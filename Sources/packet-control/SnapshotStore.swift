import ControlPlaneAPI
import GRDB

extension Snapshot {
    init(row: Row) {
        self.init(
            id: row["id"], shape: PodShape(row: row),
            volume: .init(id: row["volume_id"], name: row["volume_name"], sizeGB: row["volume_size_gb"]),
            createdAt: Timestamp(milliseconds: row["created_ms"]))
    }
}

extension Store {
    func snapshots(of team: String, after cursor: Int64) async throws -> SnapshotList {
        try await pool.read { db in
            Self.page(
                try Row.fetchAll(
                    db, sql: "SELECT * FROM snapshot WHERE team = ? AND number > ? ORDER BY number LIMIT ?",
                    arguments: [team, cursor, Page.size + 1]))
        }
    }

    // What a pod may see: bookmarks of itself, and the one that it was restored from.
    private static let ofPod = """
        team = :team AND (subscription_id = :subscription
        OR id = (SELECT snapshot_id FROM subscription WHERE id = :subscription))
        """

    func snapshots(ofPod pod: PodIdentity, after cursor: Int64) async throws -> SnapshotList {
        try await pool.read { db in
            Self.page(
                try Row.fetchAll(
                    db,
                    sql: "SELECT * FROM snapshot WHERE number > :cursor AND \(Self.ofPod) ORDER BY number LIMIT :limit",
                    arguments: [
                        "cursor": cursor, "team": pod.team, "subscription": pod.subscriptionID, "limit": Page.size + 1,
                    ]))
        }
    }

    private static func page(_ rows: [Row]) -> SnapshotList {
        SnapshotList(
            snapshots: rows.prefix(Page.size).map(Snapshot.init(row:)),
            nextCursor: Page.cursor(after: rows, column: "number"))
    }

    func snapshot(_ id: String, of team: String) async throws -> Snapshot? {
        try await pool.read { db in try Self.snapshot(id, of: team, in: db) }
    }

    func snapshot(_ id: String, ofPod pod: PodIdentity) async throws -> Snapshot? {
        try await pool.read { db in
            try Row.fetchOne(
                db, sql: "SELECT * FROM snapshot WHERE id = :id AND \(Self.ofPod)",
                arguments: ["id": id, "team": pod.team, "subscription": pod.subscriptionID]
            ).map(Snapshot.init(row:))
        }
    }

    static func snapshot(_ id: String, of team: String, in db: Database) throws -> Snapshot? {
        try Row.fetchOne(db, sql: "SELECT * FROM snapshot WHERE id = ? AND team = ?", arguments: [id, team])
            .map(Snapshot.init(row:))
    }

    /// Writes a bookmark with the fields as given.
    func createSnapshot(
        shape: PodShape, volume: VolumeReference, of team: String, now: Timestamp
    ) async throws -> Snapshot {
        try await pool.write { db in
            try Self.insertSnapshot(shape: shape, volume: volume, subscription: nil, of: team, now: now, in: db)
        }
    }

    /// Writes a bookmark of a pod that runs: its shape and its volume.
    func createSnapshot(name: String, ofSubscription id: String, of team: String, now: Timestamp) async throws
        -> Snapshot
    {
        try await pool.write { db in
            guard let subscription = try Self.subscription(id, of: team, in: db) else {
                throw APIFailure.notFound("subscription")
            }
            let volume = try subscription.sharedVolumeIDs.first.flatMap { try Self.volume($0, of: team, in: db) }
            var shape = subscription.shape
            shape.displayName = name
            return try Self.insertSnapshot(
                shape: shape, volume: .init(id: volume?.id, name: volume?.name, sizeGB: volume?.sizeGB),
                subscription: id,
                of: team, now: now, in: db)
        }
    }

    private static func insertSnapshot(
        shape: PodShape, volume: VolumeReference, subscription: String?, of team: String, now: Timestamp,
        in db: Database
    ) throws -> Snapshot {
        let id = "snap-" + Secret.hexadecimal(8)
        try db.execute(
            sql: """
                INSERT INTO snapshot (id, team, subscription_id, \(PodShape.columns), volume_id, volume_name, volume_size_gb,
                created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [id, team, subscription] + shape.arguments
                + [volume.id, volume.name, volume.sizeGB, now.milliseconds])
        return Snapshot(id: id, shape: shape, volume: volume, createdAt: now)
    }

    func deleteSnapshot(_ id: String, of team: String) async throws -> Bool {
        try await pool.write { db in
            try db.execute(sql: "DELETE FROM snapshot WHERE id = ? AND team = ?", arguments: [id, team])
            return db.changesCount > 0
        }
    }

    /// Starts a new pod from a bookmark, with the same volume, or does nothing.
    func restore(
        _ id: String, _ request: RestoreRequest, of team: String, secret: Secret, now: Timestamp
    ) async throws -> Subscription {
        try await pool.write { db in
            guard let snapshot = try Self.snapshot(id, of: team, in: db) else { throw APIFailure.notFound("snapshot") }
            var volume: Int64?
            if request.attachStorage ?? true {
                let reference = request.persistentVolumeID.map { VolumeReference(id: $0) } ?? snapshot.volume
                volume = try Self.resolve(reference, of: team, in: db)
            }
            var shape = snapshot.shape
            if let name = request.name { shape.displayName = name }
            return try Self.insertSubscription(
                shape: shape, volume: volume, podUID: request.podUID, snapshot: id, of: team, secret: secret, now: now,
                in: db)
        }
    }
}
