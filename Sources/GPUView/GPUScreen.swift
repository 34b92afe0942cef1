import GPU

/// The live view of `packet-agent gpu --watch`, as lines for one size of terminal. Pure: what is on the screen follows from
/// what was seen.
///
/// With room, a GPU takes two lines (name, heat, power; bars and the last minutes), else one, as an instance does; what still
/// does not fit is counted. Below come the last events.
public struct GPUScreen: Sendable {
    /// Columns of the terminal.
    public var columns: Int
    /// Lines of the terminal.
    public var rows: Int
    /// Whether bars may be drawn with block characters; else with ASCII.
    public var isUnicode: Bool

    /// A terminal of that size; 20 columns and 5 lines at least are assumed.
    public init(columns: Int, rows: Int, isUnicode: Bool = true) {
        self.columns = max(20, columns)
        self.rows = max(5, rows)
        self.isUnicode = isUnicode
    }

    /// Exactly `rows` lines, none wider than `columns`. `clock` is the time of day as a label.
    public func render(_ history: GPUHistory, clock: String) -> [StyledLine] {
        guard let snapshot = history.snapshot else { return fill([StyledLine("waiting for the first look")]) }
        var lines = [title(snapshot, clock)]
        if snapshot.state != .ok {
            let reason = snapshot.reason.isEmpty ? "" : ": " + snapshot.reason
            lines += wrap(snapshot.state.rawValue + reason, .bad)
            if let advice = snapshot.state.advice { lines += wrap(advice, .warning) }
        }
        lines.append(StyledLine())
        let devices = Array(zip(snapshot.devices, snapshot.samples))
        // One line for the footer.
        let room = max(1, rows - lines.count - 1)
        let events = min(snapshot.events.count, 3)
        let needed = devices.reduce(0) { $0 + ($1.0.parentUUID == nil ? 2 : 1) }
        let isRoomy = needed + (events > 0 ? events + 1 : 0) <= room
        let fitting = isRoomy || devices.count <= room ? devices.count : room - 1
        for (device, sample) in devices.prefix(fitting) {
            let percents = history.percents(of: device.uuid)
            if isRoomy, device.parentUUID == nil {
                lines.append(headline(device, sample))
                lines.append(bars(device, sample, percents))
            } else {
                lines.append(compact(device, sample, percents))
            }
        }
        if fitting < devices.count {
            lines.append(StyledLine("and \(devices.count - fitting) more: enlarge the terminal", .dim))
        }
        addEvents(snapshot, &lines)
        return fill(lines)
    }

    /// The newest events that fit, newest first; a long one takes two lines.
    private func addEvents(_ snapshot: GPUSnapshot, _ lines: inout [StyledLine]) {
        var left = rows - lines.count - 2
        guard left > 0, !snapshot.events.isEmpty else { return }
        lines.append(StyledLine())
        for event in snapshot.events.reversed() where left > 0 {
            let text = GPUEventText.lines(event, snapshot, columns: columns)
            lines += text.prefix(left)
            left -= text.count
        }
    }

    private func wrap(_ text: String, _ style: StyledLine.Style) -> [StyledLine] {
        GPUText.wrap(text, columns).map { StyledLine($0, style) }
    }

    private func fill(_ lines: [StyledLine]) -> [StyledLine] {
        var lines = lines.prefix(rows - 1).map { $0.cut(to: columns) }
        while lines.count < rows - 1 { lines.append(StyledLine()) }
        lines.append(StyledLine("q quit", .dim).cut(to: columns))
        return lines
    }

    private func title(_ snapshot: GPUSnapshot, _ clock: String) -> StyledLine {
        var line = StyledLine("packet-agent gpu", .strong)
        line.add("  driver \(snapshot.driverVersion ?? "-")  CUDA \(snapshot.cudaDriverVersion ?? "-")")
        line.pad(to: columns - clock.count)
        line.add(clock, .dim)
        return line
    }

    private func label(_ device: GPUDevice) -> String {
        device.parentUUID == nil
            ? "\(device.index) \(GPUText.short(device.name))" : "  MIG \(device.migProfile ?? "-")"
    }

    private func headline(_ device: GPUDevice, _ sample: GPUSample) -> StyledLine {
        var line = StyledLine()
        let isWhole = device.parentUUID == nil
        line.add(GPUText.left(label(device), columns >= 100 ? 30 : 20), isWhole ? .strong : .plain)
        if isWhole {
            line.add(
                GPUText.right(sample.temperatureCelsius.map { "\($0) C" } ?? "-", 6),
                sample.temperatureCelsius.map(GPUText.heat) ?? .plain)
            line.add(GPUText.right(GPUText.watts(sample), 12))
            line.add(GPUText.right(sample.smClockMHz.map { "\($0) MHz" } ?? "-", 10))
        }
        addNotes(sample, &line)
        addActivity(sample, &line)
        return line
    }

    private func addActivity(_ sample: GPUSample, _ line: inout StyledLine) {
        guard let activity = sample.activity else { return }
        for (name, value) in [("tensor", activity.tensorPercent), ("dram", activity.dramPercent)] {
            guard let value else { continue }
            line.add("  \(name) \(Int(value.rounded()))%", .dim)
        }
    }

    private func addNotes(_ sample: GPUSample, _ line: inout StyledLine) {
        for (note, style) in GPUText.notes(sample) { line.add("  " + note, style) }
    }

    private func bars(_ device: GPUDevice, _ sample: GPUSample, _ percents: [Int?]) -> StyledLine {
        var line = StyledLine("  ")
        let bar = columns >= 100 ? 20 : 10
        addBar("", GPUText.percent(sample), bar, GPUText.load, &line)
        let full = memoryPercent(device, sample)
        addBar(" mem ", full, bar, GPUText.fill, &line)
        line.add(GPUText.right(GPUText.memory(sample, device), 16))
        line.add(" ")
        line.add(sparkline(percents, columns - line.width), .good)
        return line
    }

    private func compact(_ device: GPUDevice, _ sample: GPUSample, _ percents: [Int?]) -> StyledLine {
        var line = StyledLine()
        line.add(GPUText.left(label(device), 20), device.parentUUID == nil ? .strong : .plain)
        addBar(" ", GPUText.percent(sample), 8, GPUText.load, &line)
        line.add(GPUText.right(GPUText.memory(sample, device), 16))
        line.add(GPUText.right(sample.powerMilliwatts.map { "\(($0 + 500) / 1000) W" } ?? "-", 7))
        line.add(GPUText.right(sample.temperatureCelsius.map { "\($0) C" } ?? "-", 6))
        if GPUText.notes(sample).isEmpty {
            line.add(" ")
            line.add(sparkline(percents, columns - line.width), .good)
        } else {
            addNotes(sample, &line)
        }
        return line
    }

    private func memoryPercent(_ device: GPUDevice, _ sample: GPUSample) -> Int? {
        guard let used = sample.memoryUsedBytes, let total = device.memoryTotalBytes, total > 0 else { return nil }
        return Int(Double(used) / Double(total) * 100)
    }

    private func addBar(
        _ name: String, _ percent: Int?, _ width: Int, _ style: (Int) -> StyledLine.Style, _ line: inout StyledLine
    ) {
        line.add(name + "[")
        if let percent {
            let filled = min(width, (percent * width + 50) / 100)
            line.add(String(repeating: isUnicode ? "█" : "#", count: filled), style(percent))
            line.add(String(repeating: isUnicode ? "░" : ".", count: width - filled), .dim)
            line.add("]" + GPUText.right("\(percent)%", 5))
        } else {
            line.add(String(repeating: " ", count: width) + "]    -")
        }
    }

    /// The newest values that fit, oldest left. A blank is a moment of which nothing is known.
    private func sparkline(_ percents: [Int?], _ width: Int) -> String {
        let steps: [Character] = Array(isUnicode ? "▁▂▃▄▅▆▇█" : "_.-:=+*#")
        return String(
            percents.suffix(max(0, width)).map { percent in
                percent.map { steps[min(7, max(0, $0) * 8 / 101)] } ?? " "
            })
    }
}
