public import AtRisk
import LinuxKit
import Storage

/// The report as a person reads it: what would be lost first, then what is wrong, then what is fine in one line.
public struct Screen {
    /// Columns of the terminal.
    public var columns: Int
    /// Whether colours may be used.
    public var hasColour: Bool
    /// What points to a command.
    public var arrow: String

    /// Describes a terminal.
    public init(columns: Int = 80, hasColour: Bool = false, arrow: String = "->") {
        self.columns = columns
        self.hasColour = hasColour
        self.arrow = arrow
    }

    /// The report in lines; at most ``columns`` wide except for commands, which must stay whole to be copied.
    public func lines(_ report: DoctorReport, atRisk: AtRiskReport?) -> [String] {
        var lines: [String] = []
        if let atRisk { lines += loss(atRisk) + [""] }
        let problems = report.checks.filter { check in
            [.fail, .unknown, .warn].contains(check.status) && (check.id != "storage.at-risk" || atRisk == nil)
        }
        for status in [DoctorReport.Status.fail, .unknown, .warn] {
            lines += self.problems(problems.filter { $0.status == status })
        }
        if !problems.isEmpty { lines.append("") }
        lines += summary(report)
        return lines
    }

    private func loss(_ report: AtRiskReport) -> [String] {
        let partial = report.complete ? "" : " (at least; not everything could be looked at)"
        guard report.totalFiles > 0 else {
            return [paint("Nothing of yours would be lost if this pod stopped now.", .green) + partial]
        }
        var lines = [
            paint("You would lose \(ByteCount.format(report.totalBytes)) if this pod stopped now.", .red) + partial
        ]
        for group in report.groups.prefix(8) {
            let size = ByteCount.format(group.bytes)
            let padding = String(repeating: " ", count: max(0, 10 - size.count))
            lines += wrap(
                TerminalText.escape("\(group.title)  \(group.path)"), first: "  \(padding)\(size)  ",
                rest: String(repeating: " ", count: 14))
        }
        if report.groups.count > 8 { lines.append("              and \(report.groups.count - 8) more") }
        if report.groups.contains(where: { $0.fix != nil }) {
            lines.append("  \(arrow) packet-agent at-risk   " + paint("says how to save each", .dim))
        }
        return lines
    }

    /// Problems that one command mends stand together, with that command once below them.
    private func problems(_ checks: [DoctorReport.Result]) -> [String] {
        var lines: [String] = []
        var shown: Set<String> = []
        for check in checks {
            guard let command = check.fix?.command else {
                lines += heading(check) + why(check)
                if let mend = Check.all.first(where: { $0.id == check.id })?.mend {
                    lines += wrap(mend, first: "        \(arrow) ", rest: "          ")
                }
                continue
            }
            guard shown.insert(command).inserted else { continue }
            let same = checks.filter { $0.fix?.command == command }
            lines += same.flatMap(heading)
            if same.count == 1 { lines += why(check) }
            lines.append("        \(arrow) " + TerminalText.escape(command))
        }
        return lines
    }

    private func heading(_ check: DoctorReport.Result) -> [String] {
        let colour: Colour = check.status == .fail ? .red : .yellow
        let word = check.status.rawValue.uppercased()
        return [paint(word.padded(to: 8), colour) + check.title + "  " + paint(check.id, .dim)]
            + wrap(TerminalText.escape(check.evidence), first: "        ", rest: "        ")
    }

    private func why(_ check: DoctorReport.Result) -> [String] {
        wrap(check.why, first: "        ", rest: "        ").map { paint($0, .dim) }
    }

    private func summary(_ report: DoctorReport) -> [String] {
        var lines: [String] = []
        for (word, status, colour) in [("Fine:   ", DoctorReport.Status.pass, Colour.green), ("Skipped:", .skip, .dim)]
        {
            let groups = report.checks.filter { $0.status == status }.map { String($0.id.prefix { $0 != "." }) }
            guard !groups.isEmpty else { continue }
            let counts = Dictionary(groups.map { ($0, 1) }, uniquingKeysWith: +)
            var seen: Set<String> = []
            let text = groups.filter { seen.insert($0).inserted }.map { "\($0) \(counts[$0] ?? 0)" }
            lines += wrap(text.joined(separator: ", "), first: word + " ", rest: "         ").map { paint($0, colour) }
        }
        let count = report.summary
        lines.append(
            "\(count.fail) failed, \(count.unknown) unknown, \(count.warn) warnings, \(count.pass) passed, \(count.skip) skipped"
        )
        return lines
    }

    private enum Colour: Int { case red = 31, green = 32, yellow = 33, dim = 2 }

    private func paint(_ text: String, _ colour: Colour) -> String {
        hasColour ? "\u{1b}[\(colour.rawValue)m\(text)\u{1b}[0m" : text
    }

    /// Breaks text at spaces; a word longer than a line stays whole.
    private func wrap(_ text: String, first: String, rest: String) -> [String] {
        var lines: [String] = []
        var line = first
        var isEmpty = true
        for word in text.split(separator: " ", omittingEmptySubsequences: false) {
            if !isEmpty, line.count + 1 + word.count > columns {
                while line.last == " " { line.removeLast() }
                lines.append(line)
                line = rest
                isEmpty = true
            }
            line += (isEmpty ? "" : " ") + word
            isEmpty = false
        }
        return lines + [line]
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
