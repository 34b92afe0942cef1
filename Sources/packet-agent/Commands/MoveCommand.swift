import AgentService
import ArgumentParser
import AtRisk
import LinuxKit
import Settings
import Storage
import Synchronization
import Transfer

struct MoveCommand: ParsableCommand {
    static let name = "move"
    static let configuration = CommandConfiguration(
        commandName: name, abstract: "Move what is at risk to the volume, and leave a link in its place.",
        discussion: """
            GROUP is the id of a group in "packet-agent at-risk --json", such as code:/root/project; PATH is any file or \
            directory. Everything is copied, read back from the volume and compared before anything is removed; a move that \
            was interrupted goes on when it is run again. Nothing on the volume is overwritten.

            Keys and tokens, and packages that are installed into the image, are refused: the message says what to do instead.
            """)

    @Flag(help: "Only copy: the source stays as it is, and no link is left.") var copy = false
    @Flag(help: "Only show what would be done.") var dryRun = false
    @Flag(help: "Print JSON.") var json = false
    @Argument(help: ArgumentHelp("What to move.", valueName: "GROUP|PATH")) var sources: [String]

    func run() throws {
        let view: PodView
        do { view = try PodView.gather(Context.load()) } catch { throw Failure.cannot(error) }
        guard let mountPoint = view.primaryMountPoint else {
            let reason = if case .none(let why) = view.primary { ": \(why)" } else { "" }
            throw Failure.cannot("there is no volume to move to\(reason)")
        }
        if !Abandonable.isEntered { Interrupt.watch() }
        let start = ContinuousClock.now
        let mount = view.storage.table.owner(of: mountPoint)
        let mover = Mover(
            volume: TransferVolume(mountPoint: mountPoint, mountID: mount?.id), mount: mount, copy: copy, dryRun: dryRun
        )
        let homes = view.homes
        let plan = MovePlan(
            selection: MoveSelection(facts: view.storage, homes: homes, known: KnownLocation.defaults(homes: homes)),
            layout: VolumeLayout(volume: mountPoint, homes: homes, environment: Context.environment),
            facts: view.storage, copies: copy
        ) { view.findings(paths: $0, walk: TreeWalk(isCancelled: { Interrupt.happened }), listsFiles: true).groups }
        let items = mover.run(plan.items(Context.bytes(of: sources).map { BytePath(bytes: $0) }))
        let links = mover.links
        if !links.isEmpty {
            // A link is nothing that could be lost.
            try? Baseline.record(links: links, stateDirectory: view.configuration.agent.stateDirectory)
        }
        let seconds = (ContinuousClock.now - start) / .milliseconds(1) / 1000
        let report = MoveReport(items, copy: copy, dryRun: dryRun, seconds: seconds)
        json ? try Terminal.write(json: report) : show(report)
        if items.contains(where: { $0.state == .failed || $0.state == .unfinished }) { throw ExitCode(1) }
    }

    private func show(_ report: MoveReport) {
        for item in report.items {
            let (source, destination) = (TerminalText.escape(item.source), TerminalText.escape(item.destination ?? ""))
            switch item.state {
            case .planned: Terminal.write("would \(report.copy ? "copy" : "move")  \(source) → \(destination)")
            case .moved: Terminal.write("moved   \(source) → \(destination)")
            case .copied: Terminal.write("copied  \(source) → \(destination)")
            case .nothing: Terminal.write("nothing of \(source) is at risk any more")
            case .failed, .unfinished: Terminal.writeError("packet-agent: \(source): \(item.error ?? "")")
            }
            for note in item.notes ?? [] { Terminal.write("        \(note)") }
        }
        let done = "\(ByteCount.format(report.bytes)) in \(report.files) file(s)"
        if report.dryRun { return Terminal.write("\(done); nothing was changed") }
        if report.items.contains(where: { $0.state == .moved || $0.state == .copied }) {
            let seconds = (report.seconds * 10).rounded() / 10
            Terminal.write("\(done) on the volume in \(seconds) s, read back and compared")
        }
    }
}

/// Runs the items of a plan one after the other, with one line of progress for all.
private final class Mover: Sendable {
    private let volume: TransferVolume
    private let mount: Mount?
    private let copy: Bool
    private let dryRun: Bool
    private let progress = ProgressLine()
    private let state = Mutex((bytes: UInt64(0), files: 0, totalBytes: UInt64(0), totalFiles: 0, links: [BytePath]()))
    private let start = ContinuousClock.now

    init(volume: TransferVolume, mount: Mount?, copy: Bool, dryRun: Bool) {
        (self.volume, self.mount, self.copy, self.dryRun) = (volume, mount, copy, dryRun)
    }

    /// The links that stand in the place of what was moved.
    var links: [BytePath] { state.withLock { $0.links } }

    private var options: TransferOptions {
        TransferOptions(
            volume: mount, isCancelled: { Interrupt.happened },
            progress: { [self] bytes, files in
                let now = state.withLock { state in
                    state.bytes += bytes
                    state.files += files
                    return state
                }
                progress.show { self.line(now.bytes, now.files, now.totalBytes, now.totalFiles) }
            })
    }

    /// `[#####.....]  1.2 GiB of 2.0 GiB, 17 of 40 files, 210.0 MiB/s, 0:04 left`
    private func line(_ bytes: UInt64, _ files: Int, _ totalBytes: UInt64, _ totalFiles: Int) -> String {
        let seconds = max((ContinuousClock.now - start) / .milliseconds(1) / 1000, 0.001)
        // Of many small files their number tells how far the work is, of few large ones their bytes.
        let byBytes = totalBytes > 0 ? Double(bytes) / Double(totalBytes) : 1
        let byFiles = totalFiles > 0 ? Double(files) / Double(totalFiles) : 1
        let done = min(max(min(byBytes, byFiles), 0), 1)
        let filled = Int(done * 20)
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 20 - filled)
        let left = done > 0.01 ? Int(seconds / done - seconds) : nil
        let time = left.map { ", \($0 / 60):\($0 % 60 < 10 ? "0" : "")\($0 % 60) left" } ?? ""
        let rate = ByteCount.format(UInt64(Double(bytes) / seconds))
        return
            "[\(bar)]  \(ByteCount.format(bytes)) of \(ByteCount.format(totalBytes)), \(files) of \(totalFiles) files, \(rate)/s\(time)"
    }

    func run(_ items: [MovePlan.Item]) -> [MoveReport.Item] {
        var previews: [Int: Result<TreeMove.Result, TransferError>] = [:]
        for (index, item) in items.enumerated() {
            guard case .move(let source, let place) = item else { continue }
            let preview: Result<TreeMove.Result, TransferError>
            do throws(TransferError) {
                preview = .success(try move(source, place).preview(looksAtDestination: dryRun))
            } catch {
                preview = .failure(error)
            }
            previews[index] = preview
            if case .success(let found) = preview {
                state.withLock { state in
                    state.totalBytes += found.bytes
                    state.totalFiles += found.files
                }
            }
        }
        let result = items.enumerated().map { run($1, previews[$0]) }
        progress.clear()
        return result
    }

    private func move(_ source: BytePath, _ place: VolumeLayout.Place) -> TreeMove {
        TreeMove(
            source: source, destination: place.path, volume: volume, leavesLink: !copy, merges: place.merges,
            options: options)
    }

    private func run(_ item: MovePlan.Item, _ preview: Result<TreeMove.Result, TransferError>?) -> MoveReport.Item {
        switch item {
        case .refuse(let source, let error):
            var result = MoveReport.Item(source, nil, .failed)
            result.fail(error)
            return result
        case .nothing(let source): return MoveReport.Item(source, nil, .nothing)
        case .done(let source, let destination):
            var result = MoveReport.Item(source, destination, .moved)
            result.finish(.init(notes: ["was moved before"]), .moved)
            return result
        case .recover(let source):
            var result = MoveReport.Item(source, nil, .planned)
            if dryRun { return result }
            do throws(TransferError) {
                guard let found = try TreeMove.recover(at: source, options: options) else {
                    throw TransferError(.refused, "an interrupted move was taken back; run the command again")
                }
                result = MoveReport.Item(source, found.destination, .moved)
                result.finish(found.result, .moved)
                state.withLock { $0.links.append(source) }
            } catch {
                result.fail(error)
            }
            return result
        case .move(let source, let place):
            var result = MoveReport.Item(source, place.path, .planned)
            do throws(TransferError) {
                let found = try preview?.get()
                guard !dryRun else {
                    if let found { result.finish(found, .planned) }
                    return result
                }
                result.finish(try move(source, place).runAbandonably(), copy ? .copied : .moved)
                if !copy { state.withLock { $0.links.append(source) } }
            } catch {
                result.fail(error)
            }
            return result
        }
    }
}
