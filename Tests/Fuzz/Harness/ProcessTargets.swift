import GPU
import Init
import LinuxKit

@testable import AtRisk
@testable import Boot
@testable import GPU

/// A line of /proc/PID/stat, whose name may hold anything, read by two rooms that must agree.
func processStat(_ input: [UInt8]) {
    let text = String(decoding: input, as: UTF8.self)
    // Each needs numbers in fields that the other does not read.
    guard let boot = ProcessStat(text), let facts = ProcessFacts(stat: text) else { return }
    require(facts.startTicks == boot.startTicks && facts.session == boot.session, "two rooms read a line differently")
    require(facts.cpuTicks == boot.cpuTicks, "two rooms count another time")
}

/// An answer to the entrypoint is whole or refused, and takes no variable away.
func environmentAnswer(_ input: [UInt8]) {
    guard let answer = EnvironmentAnswer(parsing: input) else { return }
    require(answer.bytes == input, "an answer changes when it is written again")
    let before = [Array("PATH=/bin".utf8), Array("A".utf8), Array("HOME=/root".utf8)]
    let after = answer.merged(into: before)
    require(after.count >= before.count, "a variable is gone")
    require(
        EnvironmentAnswer(entries: answer.entries).merged(into: after) == after, "the second time changes something")
}

/// The first line of a script names an absolute program and at most one argument.
func setupScript(_ input: [UInt8]) {
    let (interpreter, warnings) = SetupScript.interpreter(of: input)
    require((1...2).contains(interpreter.count), "a script is run with \(interpreter)")
    require(interpreter[0].hasPrefix("/"), "a script is run with a relative program")
    require(interpreter.allSatisfy { !$0.contains("\n") }, "an argument goes beyond its line")
    require(warnings.allSatisfy { !$0.isEmpty }, "a warning says nothing")
}

/// A process list that a driver wrote in one of its layouts: plausible processes or none.
func processList(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let total: UInt64 = 80 << 30
    let room = Array(input.dropFirst()) + [UInt8](repeating: NVMLProcessList.pattern, count: 64)
    let entries = room.withUnsafeBytes { NVMLProcessList.decode($0, count: Int(first), memoryTotal: total) }
    guard let entries else { return }
    require(entries.count == Int(first), "another number of processes than the driver said")
    for entry in entries {
        require(entry.pid > 0 && entry.pid <= NVMLProcessList.largestPID, "an impossible pid")
        require(entry.memory ?? 0 <= total, "more memory than the device has")
    }
}
