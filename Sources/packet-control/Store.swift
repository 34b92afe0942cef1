import ControlPlaneAPI
import GRDB

/// The control plane's memory: one SQLite file. Whatever changes together changes in one transaction, and a transaction
/// that was answered survives power loss (write-ahead log, synchronous=FULL).
struct Store: Sendable {
    let pool: DatabasePool

    /// Opens or creates the database and brings its schema up to date.
    init(path: String) throws {
        var configuration = GRDB.Configuration()
        configuration.label = "packet-control"
        configuration.foreignKeysEnabled = true
        configuration.busyMode = .timeout(5)
        configuration.maximumReaderCount = 4
        // GRDB sets synchronous=NORMAL for a pool after this hook on the writer only when it was left alone.
        configuration.prepareDatabase { db in
            if !db.configuration.readonly { try db.execute(sql: "PRAGMA synchronous = FULL") }
        }
        pool = try DatabasePool(path: path, configuration: configuration)
        // A pool sets its writer to NORMAL when it switches the file to the write-ahead log.
        try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
        try Self.migrator.migrate(pool)
        guard try pool.read({ try Self.migrator.hasBeenSuperseded($0) }) == false else {
            throw StoreProblem(description: "\(path) was written by a newer packet-control: use that version")
        }
    }

    /// Writes the log back into the database file and closes it.
    func close() throws { try pool.close() }

    struct StoreProblem: Error, CustomStringConvertible { let description: String }

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1: volumes, subscriptions, snapshots, pods and the ledger") { db in
            try db.execute(sql: schema1)
        }
        return migrator
    }

    // A shape is what PodShape holds. Times are milliseconds since 1970 UTC.
    private static let shape = """
        display_name TEXT NOT NULL, pool_id TEXT NOT NULL, pool_name TEXT, vgpus INTEGER NOT NULL,
        instance_type_id TEXT, image_uuid TEXT, hf_item_id TEXT, deploy_script TEXT
        """

    private static let schema1 = """
        CREATE TABLE volume (
            id INTEGER PRIMARY KEY AUTOINCREMENT, team TEXT NOT NULL, name TEXT NOT NULL,
            size_gb INTEGER NOT NULL CHECK (size_gb > 0),
            subscription_id TEXT UNIQUE REFERENCES subscription (id),
            created_ms INTEGER NOT NULL, deleted_ms INTEGER,
            CHECK (deleted_ms IS NULL OR subscription_id IS NULL)
        ) STRICT;
        CREATE INDEX volume_of_team ON volume (team, id);

        CREATE TABLE subscription (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, team TEXT NOT NULL,
            pod_uid TEXT NOT NULL UNIQUE, \(shape),
            volume_id INTEGER REFERENCES volume (id), snapshot_id TEXT,
            token_id TEXT NOT NULL UNIQUE, token_sha256 TEXT NOT NULL,
            created_ms INTEGER NOT NULL, ended_ms INTEGER
        ) STRICT;
        CREATE INDEX subscription_of_team ON subscription (team, number);

        CREATE TABLE snapshot (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, team TEXT NOT NULL,
            subscription_id TEXT REFERENCES subscription (id), \(shape),
            volume_id INTEGER, volume_name TEXT, volume_size_gb INTEGER, created_ms INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX snapshot_of_team ON snapshot (team, number);
        CREATE INDEX snapshot_of_subscription ON snapshot (subscription_id, number);

        CREATE TABLE pod (
            uid TEXT PRIMARY KEY REFERENCES subscription (pod_uid),
            hello TEXT, hello_ms INTEGER, report TEXT, report_ms INTEGER
        ) STRICT;

        CREATE TABLE usage_record (
            pod_uid TEXT NOT NULL REFERENCES subscription (pod_uid), epoch TEXT NOT NULL, seq INTEGER NOT NULL,
            sha256 TEXT NOT NULL, gpu_uuid TEXT NOT NULL, boot_id TEXT NOT NULL,
            start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL CHECK (start_ms < end_ms), end_realtime_ms INTEGER NOT NULL,
            cause TEXT, observed_ms INTEGER, busy_ms INTEGER, energy_mj INTEGER, energy_reset INTEGER NOT NULL,
            memory_byte_ms INTEGER, event BLOB NOT NULL, received_ms INTEGER NOT NULL,
            CHECK ((cause IS NULL) = (observed_ms IS NOT NULL)),
            UNIQUE (pod_uid, epoch, seq)
        ) STRICT;
        CREATE UNIQUE INDEX usage_record_span ON usage_record (pod_uid, boot_id, gpu_uuid, start_ms);
        CREATE INDEX usage_record_window ON usage_record (pod_uid, gpu_uuid, end_realtime_ms);

        CREATE TABLE usage_refusal (
            pod_uid TEXT NOT NULL REFERENCES subscription (pod_uid), epoch TEXT NOT NULL, seq INTEGER NOT NULL,
            sha256 TEXT NOT NULL, reason TEXT NOT NULL, event BLOB NOT NULL, received_ms INTEGER NOT NULL,
            PRIMARY KEY (pod_uid, epoch, seq)
        ) STRICT;

        CREATE TABLE usage_conflict (
            pod_uid TEXT NOT NULL REFERENCES subscription (pod_uid), epoch TEXT NOT NULL, seq INTEGER NOT NULL,
            sha256 TEXT NOT NULL, event BLOB NOT NULL, received_ms INTEGER NOT NULL,
            PRIMARY KEY (pod_uid, epoch, seq, sha256)
        ) STRICT;

        CREATE TABLE usage_mark (
            pod_uid TEXT NOT NULL REFERENCES subscription (pod_uid), epoch TEXT NOT NULL,
            through_seq INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
            PRIMARY KEY (pod_uid, epoch)
        ) STRICT;

        CREATE TABLE usage_account (
            pod_uid TEXT NOT NULL REFERENCES subscription (pod_uid), gpu_uuid TEXT NOT NULL,
            interval_ms INTEGER NOT NULL, observed_ms INTEGER NOT NULL, busy_ms INTEGER, energy_mj INTEGER,
            energy_is_lower_bound INTEGER NOT NULL, memory_byte_ms TEXT, records INTEGER NOT NULL,
            PRIMARY KEY (pod_uid, gpu_uuid)
        ) STRICT;

        CREATE TABLE usage_gap (
            pod_uid TEXT NOT NULL, gpu_uuid TEXT NOT NULL, cause TEXT NOT NULL, gap_ms INTEGER NOT NULL,
            PRIMARY KEY (pod_uid, gpu_uuid, cause),
            FOREIGN KEY (pod_uid, gpu_uuid) REFERENCES usage_account (pod_uid, gpu_uuid)
        ) STRICT;
        """
}

extension Row {
    /// A time column.
    func timestamp(_ column: String) -> Timestamp? {
        (self[column] as Int64?).map(Timestamp.init(milliseconds:))
    }
}
