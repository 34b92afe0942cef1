import AtRisk
import Glibc
import LinuxKit
import Storage
import Synchronization

// walk [--at-risk] DIRECTORY: prints what `du -s --block-size=1` prints for files and links, by the agent's own walker, so
// that both can be timed in one run. With --at-risk every file counts as the user's and is sorted into groups.
var arguments = CommandLine.arguments.dropFirst()
let isScan = arguments.first == "--at-risk"
if isScan { arguments = arguments.dropFirst() }
guard let directory = arguments.first.map({ BytePath($0) }), arguments.count == 1, directory.isAbsolute,
    let mounts = try? LocalFile.read("/proc/self/mountinfo")
else {
    print("usage: walk [--at-risk] /DIRECTORY")
    exit(64)
}
let table = MountTable(MountInfo(parsing: mounts).mounts)
let walk = TreeWalk(threads: table.owner(of: directory).map(TreeWalk.threads(for:)) ?? 1)

if isScan {
    let epoch = FileStatus.Time(seconds: 0, nanoseconds: 0)
    let findings = AtRiskScan.run(
        .init(
            table: table, classifier: MountClassifier(table), layer: .cannotTell("a benchmark"),
            firstStart: FirstStart(container: epoch, pod: epoch), known: KnownLocation.defaults(homes: ["/root"]),
            paths: [directory], walk: walk))
    for group in findings.groups { print("\(group.bytes)\t\(group.files)\t\(group.title)") }
    exit(findings.isComplete ? 0 : 1)
}

struct Total {
    var bytes: UInt64 = 0
    var files = 0
    var linked: Set<TreeWalk.Identity> = []
}
let total = Mutex(Total())
let summary = walk.visit(below: directory) { listing in
    var bytes: UInt64 = 0
    for file in listing.files where file.links == 1 { bytes += file.allocatedBytes }
    total.withLock { total in
        total.bytes += bytes
        total.files += listing.files.count
        for file in listing.files where file.links > 1 && total.linked.insert(file.identity).inserted {
            total.bytes += file.allocatedBytes
        }
    }
}
total.withLock { print("\($0.bytes)\t\($0.files)\t\(directory)") }
exit(summary.isComplete && summary.unreadable.isEmpty ? 0 : 1)
