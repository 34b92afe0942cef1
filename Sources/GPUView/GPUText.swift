import GPU

/// Numbers as people read them. Absent is a dash, never 0.
enum GPUText {
    /// Bytes as GiB with one digit.
    static func gibibytes(_ bytes: UInt64) -> String {
        let tenths = (bytes &+ (1 << 30) / 20) / ((1 << 30) / 10)
        return "\(tenths / 10).\(tenths % 10)"
    }

    static func memory(_ sample: GPUSample, _ device: GPUDevice) -> String {
        guard let used = sample.memoryUsedBytes else { return "-" }
        return gibibytes(used) + (device.memoryTotalBytes.map { "/" + gibibytes($0) } ?? "") + " GiB"
    }

    static func watts(_ sample: GPUSample) -> String {
        guard let power = sample.powerMilliwatts else { return "-" }
        let limit = sample.details?.powerLimitMilliwatts.map { "/\(($0 + 500) / 1000)" } ?? ""
        return "\((power + 500) / 1000)\(limit) W"
    }

    static func percent(_ sample: GPUSample) -> Int? {
        sample.utilizationGPUPercent ?? sample.activity?.graphicsPercent.map { Int($0.rounded()) }
    }

    /// A product's name without its maker.
    static func short(_ name: String) -> String { name.hasPrefix("NVIDIA ") ? String(name.dropFirst(7)) : name }

    /// The text in lines of at most `columns`, broken at blanks where there are any.
    static func wrap(_ text: String, _ columns: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty, line.count + 1 + word.count > columns {
                lines.append(line)
                line = "  "
            }
            line += (line.isEmpty || line == "  " ? "" : " ") + word
        }
        return line.isEmpty ? lines : lines + [line]
    }

    static func left(_ text: String, _ width: Int) -> String {
        text.count >= width ? String(text.prefix(width)) : text + String(repeating: " ", count: width - text.count)
    }

    static func right(_ text: String, _ width: Int) -> String {
        text.count >= width ? text : String(repeating: " ", count: width - text.count) + text
    }

    /// What is remarkable about a device, the worst first.
    static func notes(_ sample: GPUSample) -> [(String, StyledLine.Style)] {
        var notes: [(String, StyledLine.Style)] = []
        if sample.state != .ok { notes.append((sample.state.rawValue.replacing("_", with: " "), .bad)) }
        if let action = sample.recoveryAction, action > 0 {
            notes.append((action == 1 ? "reset wanted" : "repair wanted (\(action))", .bad))
        }
        if sample.details?.isRemapFailed == true { notes.append(("row remapping failed", .bad)) }
        if let errors = sample.eccUncorrected, errors > 0 { notes.append(("ECC \(errors)", .bad)) }
        if sample.suspect != nil { notes.append(("readings that cannot be true", .warning)) }
        if sample.details?.isRemapPending == true { notes.append(("row remap pending", .warning)) }
        if sample.details?.isVGPULicensed == false { notes.append(("vGPU without licence", .warning)) }
        let reasons = sample.clockEventReasons ?? 0
        if reasons & 0x68 != 0 { notes.append(("slowed: heat", .warning)) }
        if reasons & 0x80 != 0 { notes.append(("slowed: power brake", .warning)) }
        if reasons & 0x4 != 0 { notes.append(("power cap", .plain)) }
        return notes
    }

    static func load(_ percent: Int) -> StyledLine.Style { percent >= 90 ? .good : percent >= 10 ? .plain : .dim }
    static func fill(_ percent: Int) -> StyledLine.Style { percent >= 95 ? .bad : percent >= 80 ? .warning : .good }
    static func heat(_ celsius: Int) -> StyledLine.Style { celsius >= 87 ? .bad : celsius >= 80 ? .warning : .plain }
}

extension String {
    fileprivate func replacing(_ old: Character, with new: Character) -> String { String(map { $0 == old ? new : $0 }) }
}
