public import GPU

/// `packet-agent gpu`: every device in a line, as a table.
public enum GPUTable {
    /// The lines for a terminal or a file; never wider than `width` columns.
    public static func lines(_ snapshot: GPUSnapshot, width: Int) -> [StyledLine] {
        var lines: [StyledLine] = []
        if snapshot.state != .ok || snapshot.devices.isEmpty {
            var line = StyledLine(snapshot.state.rawValue, snapshot.state == .noGPU ? .strong : .bad)
            if !snapshot.reason.isEmpty { line.add(": " + snapshot.reason) }
            lines.append(line)
            if let advice = snapshot.state.advice { lines.append(StyledLine(advice)) }
        }
        guard !snapshot.devices.isEmpty else { return lines }
        let header = ["", "NAME", "UTIL", "SM", "TENSOR", "MEMORY", "POWER", "TEMP", "UUID", "NOTES"]
        var rows = [header]
        for (device, sample) in zip(snapshot.devices, snapshot.samples) { rows.append(row(device, sample)) }
        // Columns that nobody has are left out.
        let columns = header.indices.filter { column in
            column < 2 || rows.dropFirst().contains { $0[column] != "-" && !$0[column].isEmpty }
        }
        let widths = columns.map { column in rows.map { $0[column].count }.max() ?? 0 }
        for (index, row) in rows.enumerated() {
            var line = StyledLine()
            for (column, width) in zip(columns, widths) {
                let isNumber = (2...7).contains(column)
                let text = isNumber ? GPUText.right(row[column], width) : GPUText.left(row[column], width)
                let style: StyledLine.Style =
                    index == 0
                    ? .strong : column == 9 ? GPUText.notes(snapshot.samples[index - 1]).first?.1 ?? .plain : .plain
                line.add(text + (column == columns.last ? "" : "  "), style)
            }
            lines.append(line)
        }
        lines.append(
            StyledLine("driver \(snapshot.driverVersion ?? "-"), CUDA \(snapshot.cudaDriverVersion ?? "-")", .dim))
        if snapshot.hiddenDevices > 0 {
            lines.append(StyledLine("\(snapshot.hiddenDevices) GPU(s) that this container may not use", .dim))
        }
        if snapshot.failedDevices > 0 {
            lines.append(StyledLine("\(snapshot.failedDevices) GPU(s) that never answered", .bad))
        }
        for (device, sample) in zip(snapshot.devices, snapshot.samples) {
            guard let advice = sample.state.advice else { continue }
            lines.append(StyledLine("\(device.index) \(device.uuid): \(advice)", .warning))
        }
        for event in snapshot.events.suffix(3) { lines += GPUEventText.lines(event, snapshot, columns: max(20, width)) }
        return lines.map { $0.cut(to: max(20, width)) }
    }

    private static func row(_ device: GPUDevice, _ sample: GPUSample) -> [String] {
        let percent = { (value: Double?) in value.map { "\(Int($0.rounded()))%" } ?? "-" }
        return [
            device.parentUUID == nil ? "\(device.index)" : " └",
            device.migProfile.map { "MIG \($0)" } ?? device.name,
            GPUText.percent(sample).map { "\($0)%" } ?? "-", percent(sample.activity?.smPercent),
            percent(sample.activity?.tensorPercent), GPUText.memory(sample, device), GPUText.watts(sample),
            sample.temperatureCelsius.map { "\($0) C" } ?? "-", device.uuid,
            GPUText.notes(sample).map(\.0).joined(separator: ", "),
        ]
    }
}

/// An XID in words.
enum GPUEventText {
    static func text(_ event: GPUEvent, _ snapshot: GPUSnapshot) -> String {
        let meaning = XIDMeaning.of(event.xid)
        let place = snapshot.devices.first { $0.uuid == event.uuid }.map { "GPU \($0.index)" } ?? event.uuid ?? "a GPU"
        let age = (snapshot.asOf - min(snapshot.asOf, event.boottime)) / 1_000_000_000
        let ago = age < 60 ? "\(age) s" : age < 3600 ? "\(age / 60) min" : "\(age / 3600) h"
        return "XID \(event.xid) on \(place) \(ago) ago: \(meaning.meaning). \(meaning.advice)"
    }

    static func lines(_ event: GPUEvent, _ snapshot: GPUSnapshot, columns: Int) -> [StyledLine] {
        let style = style(XIDMeaning.of(event.xid).weight)
        return GPUText.wrap(text(event, snapshot), columns).map { StyledLine($0, style) }
    }

    private static func style(_ weight: XIDMeaning.Weight) -> StyledLine.Style {
        switch weight {
        case .information: .dim
        case .application, .unknown: .warning
        case .reset, .hardware: .bad
        }
    }
}
