import FoundationEssentials
import Storage

@testable import AtRisk
@testable import Boot
@testable import Environment
@testable import Metering
@testable import Storage
@testable import Transfer

/// The agent's own files after damage: each is read or refused, and means the same when it is written and read.
///
/// The volume's are written by anybody who may write there.
func storedRecords(_ input: [UInt8]) {
    let baseline = Baseline(parsing: input)
    require(Baseline(parsing: baseline.contents) == baseline, "a baseline changes when it is written and read")
    if let journal = Journal(parsing: input) {
        require(Journal(parsing: journal.contents) == journal, "a move's journal changes when it is written and read")
    }
    if let state = SpoolState(bytes: input) {
        require(SpoolState(bytes: state.bytes) == state, "the spool's state changes when it is written and read")
    }
    let data = Data(input)
    roundTrip(SetupRecord.self, data)
    roundTrip(BootReport.self, data)
    roundTrip(ChangeRecord.self, data)
    roundTrip(VolumeLease.self, data)
    roundTrip(ImagePackages.self, data)
    if let record = try? JSONDecoder().decode(ChangeRecord.self, from: data) {
        _ = record.original?.bytes
    }
}
