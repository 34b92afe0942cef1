import Glibc
import LinuxKit
import Storage
import Synchronization
import Transfer

// transfer SOURCE VOLUME DESTINATION [copy] [remote] [kill=N]: moves or copies by the agent's own engine, for
// Benchmarks/measure-copy. With kill=N it dies at the Nth change, for the tests.
let arguments = CommandLine.arguments.dropFirst()
let paths = arguments.prefix(3).map { BytePath($0) }
let words = arguments.dropFirst(3)
guard paths.count == 3 else {
    print("usage: transfer /SOURCE /VOLUME /VOLUME/DESTINATION [copy] [remote] [merge] [kill=N]")
    exit(64)
}
let last = words.compactMap { $0.hasPrefix("kill=") ? Int($0.dropFirst(5)) : nil }.first
let steps = Atomic(0)
let copied = Atomic(UInt64(0))
var options = TransferOptions(
    progress: { bytes, _ in copied.wrappingAdd(bytes, ordering: .relaxed) },
    step: { step, path in
        let number = steps.wrappingAdd(1, ordering: .relaxed).newValue
        if number == last { kill(getpid(), SIGKILL) }
    })
if words.contains("remote") { options.threads = TransferOptions.remoteThreads }
do {
    let move = TreeMove(
        source: paths[0], destination: paths[2], volume: TransferVolume(mountPoint: paths[1]),
        leavesLink: !words.contains("copy"), merges: words.contains("merge"), options: options)
    let result = try move.run()
    for note in result.notes { print(note) }
    print("\(result.files) files, \(result.bytes) bytes, \(steps.load(ordering: .relaxed)) steps")
} catch {
    print(error)
    exit(1)
}
