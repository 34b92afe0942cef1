import ControlPlaneAPI
import Effects
import Environment
import Settings
import Storage
import UsageRecord

@testable import Metering

/// What is fuzzed: each takes any bytes and stops the process when something that must hold does not.
let targets: [String: @Sendable ([UInt8]) -> Void] = [
    "mountinfo": mountInfo, "configuration": configuration, "usage-batch": usageBatch, "answers": answers,
    "spool": spool, "marked-block": markedBlock, "tool-settings": toolSettings, "tool-files": toolFiles,
    "package-records": packageRecords, "process-stat": processStat, "environment-answer": environmentAnswer,
    "setup-script": setupScript, "process-list": processList, "terminal-text": terminalText, "paths": paths,
    "storage-rule": storageRule, "difference": difference, "ssh-server": sshServer, "quoting": quoting, "wire": wire,
    "ledger-batch": ledgerBatch, "telemetry-answers": telemetryAnswers, "stored-records": storedRecords,
    "local-request": localRequest,
]

/// No line is lost without an error, every mount has a verdict, and a path's owner is a mount above it.
private func mountInfo(_ input: [UInt8]) {
    let info = MountInfo(parsing: input)
    let newlines = input.count { $0 == 0x0a }
    let lines = newlines + (input.isEmpty || input.last == 0x0a ? 0 : 1)
    require(info.mounts.count + info.errors.count == lines, "a line is neither a mount nor an error")
    require(zip(info.errors, info.errors.dropFirst()).allSatisfy { $0.line < $1.line }, "errors are out of order")
    let table = MountTable(info.mounts)
    let classifier = MountClassifier(table)
    for mount in info.mounts {
        require(mount.mountPoint.isAbsolute, "a mount point is not absolute")
        require(!classifier.classify(mount).reason.isEmpty, "a verdict has no reason")
        for path in [mount.mountPoint, BytePath(bytes: mount.mountPoint.bytes + Array("/a b".utf8))] {
            guard let owner = table.owner(of: path) else { continue }
            require(
                path.components.starts(with: owner.mountPoint.components), "the owner of a path is not above it")
        }
    }
}

/// Every mistake has a place in the text, and a text without one changes only what it names.
private func configuration(_ input: [UInt8]) {
    let text = String(decoding: input, as: UTF8.self)
    let loaded = AgentConfiguration.read(text, source: "f")
    let lines = text.unicodeScalars.count { $0 == "\n" } + 1
    for error in loaded.errors {
        require(!error.message.isEmpty, "an error says nothing")
        guard let line = error.line, let column = error.column else { continue }
        require((1...lines).contains(line) && column >= 1, "an error points outside the text")
    }
    let defaults = AgentConfiguration()
    for setting in Setting.all where loaded.origins[setting.path] == nil {
        require(
            setting.value(in: loaded.configuration) == setting.value(in: defaults),
            "\(setting.path) changed without being named")
    }
}

/// What is accepted as a batch is made of events that mean the same when written again.
private func usageBatch(_ input: [UInt8]) {
    guard let events = try? Batch.split(input) else { return }
    for event in events {
        require(event.first == UInt8(ascii: "{"), "an event is no JSON object")
        guard let record = try? CloudEvent.decode(event) else { continue }
        require(record.startMilliseconds <= record.endMilliseconds, "an interval ends before it begins")
        guard let again = try? CloudEvent.decode(CloudEvent.encode(record)) else {
            require(false, "an encoded record cannot be decoded")
            return
        }
        require(again == record, "a record changes when it is written and read")
    }
    let body = Batch.body(of: events.map(Array.init))
    guard let again = try? Batch.split(body) else {
        require(false, "a batch of accepted events is refused")
        return
    }
    require(again.map(Array.init) == events.map(Array.init), "a batch changes when it is written and read")
}

/// What a control plane answers: headers and bodies of any kind.
private func answers(_ input: [UInt8]) {
    let text = String(decoding: input, as: UTF8.self)
    if let wait = RetryAfter.milliseconds(text, now: 1_790_000_000_000) {
        require(wait <= 1 << 62, "a wait overflows")
    }
    if let acknowledgement = Acknowledgement.parse(input) {
        require(Acknowledgement.parse(input) == acknowledgement, "an answer is read in two ways")
    }
    if let time = Timestamp(text) {
        require(Timestamp(time.description) == time, "a time changes when it is written and read")
    }
}

/// Nothing of the agent stays in a file of somebody else, and nothing of theirs is lost.
private func markedBlock(_ input: [UInt8]) {
    let middle = input.firstIndex(of: 0) ?? input.count
    let contents = Array(input[..<middle])
    let body = Array("export A=1\n".utf8)
    switch MarkedBlock.state(in: contents) {
    case .absent:
        guard let with = MarkedBlock.put(body, into: contents) else {
            require(false, "a file without a block is refused")
            return
        }
        require(MarkedBlock.state(in: with) == .untouched(body: body), "the block is not found again")
        require(MarkedBlock.put(body, into: with) == with, "the second time changes something")
        require(MarkedBlock.remove(from: with) == .some(contents), "removing does not restore the file")
    case .untouched:
        guard let with = MarkedBlock.put(body, into: contents) else {
            require(false, "an untouched block is refused")
            return
        }
        require(MarkedBlock.put(body, into: with) == with, "the second time changes something")
    case .changed:
        require(MarkedBlock.put(body, into: contents) == nil, "a changed block is overwritten")
        let removed: [UInt8]?? = MarkedBlock.remove(from: contents)
        require(removed == nil, "a changed block is removed")
    }
}
