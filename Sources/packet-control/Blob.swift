import FoundationEssentials
import GRDB

/// Bytes as SQLite stores them.
enum Blob {
    static func value(_ bytes: [UInt8]) -> DatabaseValue { Data(bytes).databaseValue }
}
