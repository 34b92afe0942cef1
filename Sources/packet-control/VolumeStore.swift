import ControlPlaneAPI
import GRDB
import HTTPTypes

extension SharedVolume {
    init(row: Row) {
        let deletedAt = row.timestamp("deleted_ms")
        let subscription: String? = row["subscription_id"]
        self.init(
            id: row["id"], name: row["name"], sizeGB: row["size_gb"],
            state: deletedAt != nil ? .deleted : subscription != nil ? .attached : .available,
            subscriptionID: subscription,
            createdAt: Timestamp(milliseconds: row["created_ms"]), deletedAt: deletedAt)
    }
}

extension Store {
    /// Volumes of a team that were not deleted.
    func volumes(of team: String, after cursor: Int64) async throws -> VolumeList {
        try await pool.read { db in
            let rows = try Row.fetchAll(
                db, sql: "SELECT * FROM volume WHERE team = ? AND id > ? AND deleted_ms IS NULL ORDER BY id LIMIT ?",
                arguments: [team, cursor, Page.size + 1])
            return VolumeList(
                volumes: rows.prefix(Page.size).map(SharedVolume.init(row:)),
                nextCursor: Page.cursor(after: rows, column: "id"))
        }
    }

    static func volume(_ id: Int64, of team: String, in db: Database) throws -> SharedVolume? {
        try Row.fetchOne(db, sql: "SELECT * FROM volume WHERE id = ? AND team = ?", arguments: [id, team])
            .map(SharedVolume.init(row:))
    }

    func volume(_ id: Int64, of team: String) async throws -> SharedVolume? {
        try await pool.read { db in try Self.volume(id, of: team, in: db) }
    }

    func createVolume(_ request: VolumeRequest, of team: String, now: Timestamp) async throws -> SharedVolume {
        try await pool.write { db in
            try db.execute(
                sql: "INSERT INTO volume (team, name, size_gb, created_ms) VALUES (?, ?, ?, ?)",
                arguments: [team, request.name, request.sizeGB, now.milliseconds])
            return SharedVolume(
                id: db.lastInsertedRowID, name: request.name, sizeGB: request.sizeGB, state: .available, createdAt: now)
        }
    }

    /// Marks a volume deleted and ends its bill. One that is deleted stays as it is.
    func deleteVolume(_ id: Int64, of team: String, now: Timestamp) async throws -> SharedVolume {
        try await pool.write { db in
            guard let volume = try Self.volume(id, of: team, in: db) else { throw APIFailure.notFound("volume") }
            switch volume.state {
            case .deleted: return volume
            case .attached:
                throw APIFailure.conflict(
                    "volume_attached",
                    "volume \(id) is attached to subscription \(volume.subscriptionID ?? "?"): end that first")
            case .available:
                try db.execute(
                    sql: "UPDATE volume SET deleted_ms = max(?, created_ms) WHERE id = ?",
                    arguments: [now.milliseconds, id])
                return try Self.volume(id, of: team, in: db) ?? volume
            }
        }
    }

    /// Attaches a volume to one pod at most.
    static func attach(_ id: Int64, to subscription: String, of team: String, in db: Database) throws {
        guard let volume = try volume(id, of: team, in: db) else {
            throw APIFailure.conflict("volume_not_found", "there is no volume \(id): it may belong to another team")
        }
        switch volume.state {
        case .deleted: throw APIFailure.conflict("volume_deleted", "volume \(id) (\(volume.name)) was deleted")
        case .attached:
            throw APIFailure.conflict(
                "volume_attached",
                "volume \(id) (\(volume.name)) is attached to subscription \(volume.subscriptionID ?? "?"), and a volume attaches to one pod at a time: end that first"
            )
        case .available:
            try db.execute(sql: "UPDATE volume SET subscription_id = ? WHERE id = ?", arguments: [subscription, id])
        }
    }

    /// The volume that a snapshot means: its number, else its name among the team's that are available.
    static func resolve(_ reference: VolumeReference, of team: String, in db: Database) throws -> Int64? {
        if let id = reference.id { return id }
        guard let name = reference.name else { return nil }
        let ids = try Int64.fetchAll(
            db,
            sql: """
                SELECT id FROM volume WHERE team = ? AND name = ? AND subscription_id IS NULL AND deleted_ms IS NULL
                ORDER BY id LIMIT 10
                """, arguments: [team, name])
        guard let first = ids.first else {
            throw APIFailure.conflict(
                "volume_not_available",
                "no volume named \(name) is AVAILABLE: it may be attached to another pod or deleted; GET /v1/volumes shows it"
            )
        }
        guard ids.count == 1 else {
            let list = ids.map(String.init).joined(separator: " and ")
            throw APIFailure.conflict(
                "volume_ambiguous",
                "volumes \(list) are both named \(name) and AVAILABLE: say which with persistentVolumeId")
        }
        return first
    }
}
