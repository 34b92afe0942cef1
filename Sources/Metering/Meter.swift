import UsageRecord

/// How the meter cuts time.
public struct MeterConfiguration: Sendable, Equatable {
    /// Milliseconds between two ticks.
    public var sampleIntervalMilliseconds: UInt64 = 1000
    /// Length of a closed interval in milliseconds, at most 600,000.
    public var intervalMilliseconds: UInt64 = 60_000
    /// Milliseconds between two checkpoints: the most time that a crash leaves undescribed.
    public var checkpointMilliseconds: UInt64 = 10_000
    /// The most power in watts that is believed; an energy difference above it is taken as not read.
    public var maximumWatts: UInt64 = 3000
    /// The most devices that are followed, those that vanished included.
    public var maximumStreams = 256

    /// The defaults: one tick a second, one interval a minute, one checkpoint every 10 seconds.
    public init() {}
}

/// Turns samples into closed intervals and declared gaps.
///
/// Per device the spans are half-open, contiguous and never overlap, so observed time and gaps together are exactly the
/// time since the device was first seen. Durations come from CLOCK_BOOTTIME, cut to whole milliseconds at the edges only,
/// so that no rounding accumulates. All devices are closed together; an observed interval never straddles a UTC hour; a gap
/// that is only known afterwards (a late tick, a restart) is one span.
public struct Meter: Sendable {
    private struct Device: Sendable {
        var stream: OpenIntervals.Stream
        // Percent milliseconds that did not become busy milliseconds, kept for the next interval.
        var carry: UInt64 = 0
        // The busy counter in percent milliseconds, and what of the current tick is not credited yet.
        var busy: UInt64?
        var pendingBusy: UInt64?
        var energy: (counter: UInt64, at: UInt64)?
        // Energy of the current tick that is not credited yet.
        var pending: UInt64?
        // For the invariant: first start, and what was closed since.
        let first: UInt64
        var accounted: UInt64 = 0
    }

    private enum Progress: Sendable {
        case waiting(OpenIntervals?)
        case running
    }

    private let configuration: MeterConfiguration
    private let bootID: String
    private var progress: Progress
    private var devices: [Device] = []
    private var lastBoottime: UInt64 = 0
    private var last: UInt64 = 0
    private var offset: Int64 = 0
    private var intervalStart: UInt64 = 0
    private var lastCheckpoint: UInt64 = 0
    private var spans: [ClosedSpan] = []

    /// Ticks that were ignored because CLOCK_BOOTTIME had not moved on by a millisecond, or had gone back.
    public private(set) var ignoredTicks: UInt64 = 0

    private static let hour: Int64 = 3_600_000
    private static let maximumMemory: UInt64 = 1 << 44
    private static let wallStep: UInt64 = 500
    // The driver's samples come up to a second late: so much busy time (percent milliseconds) may belong to the interval before.
    private static let mostCarry: UInt64 = 200_000
    // One percent of a millisecond.
    private static let nanosecondsOfPercentMillisecond: UInt64 = 10_000

    /// Makes a meter; `resuming` are the devices that an earlier agent followed, as ``OpenIntervals/waiting()`` gives them.
    public init(configuration: MeterConfiguration = .init(), bootID: String, resuming: OpenIntervals? = nil) {
        var configuration = configuration
        configuration.sampleIntervalMilliseconds = max(1, configuration.sampleIntervalMilliseconds)
        configuration.intervalMilliseconds = min(
            600_000, max(configuration.sampleIntervalMilliseconds, configuration.intervalMilliseconds))
        self.configuration = configuration
        self.bootID = bootID
        self.progress = .waiting(resuming)
    }

    /// The open intervals now; nil before the first tick of an agent that resumes nothing.
    public var open: OpenIntervals? {
        if case .waiting(let resuming) = progress { return resuming }
        return OpenIntervals(
            bootID: bootID, offsetMilliseconds: offset, endMilliseconds: last,
            sampleIntervalMilliseconds: configuration.sampleIntervalMilliseconds,
            streams: devices.map { device in
                var stream = device.stream
                stream.percentMilliseconds = stream.percentMilliseconds.map { $0 + device.carry }
                return stream
            })
    }

    /// Takes one look at the devices into account.
    public mutating func tick(_ tick: MeterTick) -> [MeterAction] {
        let now = tick.boottime / 1_000_000
        var readings: [String: DeviceReading] = [:]
        for reading in tick.devices where reading.state == .ok { readings[reading.uuid] = reading }
        switch progress {
        case .waiting(let resuming):
            if let resuming, resuming.bootID == bootID, now < resuming.endMilliseconds {
                ignoredTicks += 1
                return []
            }
            begin(now, tick, resuming, readings)
        case .running:
            guard now > last else {
                ignoredTicks += 1
                return []
            }
            advance(now, tick, readings)
        }
        settle(now, tick.devices, readings)
        lastBoottime = tick.boottime
        last = now
        return actions(force: false)
    }

    /// Closes everything at the last tick: for an orderly stop, or for an immediate report.
    public mutating func close() -> [MeterAction] {
        guard case .running = progress else { return [] }
        closeAll(at: last, offset)
        return actions(force: true)
    }

    private mutating func actions(force: Bool) -> [MeterAction] {
        let due = force || !spans.isEmpty || last >= lastCheckpoint + configuration.checkpointMilliseconds
        guard due, let open else { return [] }
        lastCheckpoint = last
        defer { spans = [] }
        return spans.map(MeterAction.append) + [.checkpoint(open)]
    }

    // MARK: Time

    private mutating func begin(
        _ now: UInt64, _ tick: MeterTick, _ resuming: OpenIntervals?, _ readings: [String: DeviceReading]
    ) {
        offset = tick.realtimeMilliseconds - Int64(clamping: now)
        intervalStart = now
        for stream in resuming?.streams ?? [] {
            let start = stream.startMilliseconds
            if let resuming, resuming.bootID != bootID {
                // The old clock is gone: the old time line is prolonged by what the wall clocks say, at least enough to
                // show that something is missing, and the new one starts here.
                let length = max(1, tick.realtimeMilliseconds - (Int64(clamping: start) + resuming.offsetMilliseconds))
                emit(
                    stream.gpuUUID, resuming.bootID, start, start + UInt64(length), tick.realtimeMilliseconds,
                    .gap(.clockUnsure))
            } else {
                emit(stream.gpuUUID, bootID, start, now, tick.realtimeMilliseconds, .gap(.agentDown))
            }
            devices.append(
                .init(stream: .init(gpuUUID: stream.gpuUUID, startMilliseconds: now, gapCause: .nvmlError), first: now))
        }
        progress = .running
        // The first checkpoint is due at once.
        lastCheckpoint = 0
    }

    private mutating func advance(_ now: UInt64, _ tick: MeterTick, _ readings: [String: DeviceReading]) {
        let offset = tick.realtimeMilliseconds - Int64(clamping: now)
        if (offset - self.offset).magnitude > Self.wallStep {
            closeAll(at: last, self.offset)
            self.offset = offset
        }
        let interval = configuration.sampleIntervalMilliseconds
        let isLate = (tick.boottime - lastBoottime) > interval * 2_500_000
        let end = isLate ? last + interval : now
        for index in devices.indices { look(at: index, end: end, isLate: isLate, now, readings) }
        var cursor = last
        while true {
            let edge = boundary()
            let stop = min(edge, end)
            for index in devices.indices {
                credit(index, from: cursor, to: stop, end: end, readings[devices[index].stream.gpuUUID])
            }
            guard edge <= end else { break }
            closeAll(at: edge, self.offset)
            self.offset = offset
            cursor = edge
            if edge == end { break }
        }
        if isLate {
            closeAll(at: end, self.offset)
            self.offset = offset
            let isSuspended = tick.suspended / 1_000_000 * 2 >= now - end
            for device in devices {
                emit(
                    device.stream.gpuUUID, bootID, end, now, tick.realtimeMilliseconds,
                    .gap(isSuspended ? .suspended : .agentStalled))
            }
            for index in devices.indices {
                devices[index].accounted += now - end
                devices[index].stream.startMilliseconds = now
            }
            intervalStart = now
        }
    }

    /// Where the current interval must end: its full length, or the UTC hour.
    private func boundary() -> UInt64 {
        let wall = Int64(clamping: intervalStart) + offset
        let rest = Self.hour - ((wall % Self.hour) + Self.hour) % Self.hour
        return intervalStart + min(configuration.intervalMilliseconds, UInt64(rest))
    }

    // MARK: Devices

    /// A device that does not answer any more was last good at the tick before.
    private mutating func look(
        at index: Int, end: UInt64, isLate: Bool, _ now: UInt64, _ readings: [String: DeviceReading]
    ) {
        guard devices[index].stream.gapCause == nil else { return }
        guard let reading = readings[devices[index].stream.gpuUUID] else {
            close(index, at: last, offset, next: .nvmlError)
            devices[index].energy = nil
            devices[index].pending = nil
            devices[index].busy = nil
            devices[index].pendingBusy = nil
            return
        }
        pendingEnergy(index, reading, isLate: isLate, now)
        pendingBusy(index, reading, isLate: isLate, now)
    }

    /// What the busy counter grew by, to be spread over this tick's time.
    private mutating func pendingBusy(_ index: Int, _ reading: DeviceReading, isLate: Bool, _ now: UInt64) {
        devices[index].pendingBusy = nil
        let counter = Self.busy(reading)
        defer { devices[index].busy = counter }
        guard let counter, let before = devices[index].busy, counter >= before, !isLate else { return }
        // A growth that time did not allow is not believed.
        guard counter - before <= (now - last) * 100 + Self.mostCarry else { return }
        devices[index].pendingBusy = counter - before
    }

    private static func busy(_ reading: DeviceReading) -> UInt64? {
        reading.busyNanoseconds.map { $0 / nanosecondsOfPercentMillisecond }
    }

    /// The energy since the last reading of the counter, to be spread over this tick's time.
    private mutating func pendingEnergy(_ index: Int, _ reading: DeviceReading, isLate: Bool, _ now: UInt64) {
        devices[index].pending = nil
        guard let counter = reading.energyMillijoules else { return }
        defer { devices[index].energy = (counter, now) }
        guard let before = devices[index].energy else { return }
        let went = counter < before.counter
        if went { devices[index].stream.energyReset = true }
        let difference = went ? counter : counter - before.counter
        // Watts times milliseconds are millijoules; one second more, because the counter moves in steps.
        let (most, overflow) = configuration.maximumWatts.multipliedReportingOverflow(by: now - before.at + 1000)
        guard !isLate, overflow || difference <= most else { return }
        devices[index].pending = difference
    }

    private mutating func credit(_ index: Int, from: UInt64, to: UInt64, end: UInt64, _ reading: DeviceReading?) {
        guard devices[index].stream.gapCause == nil, let reading else { return }
        let part = to - from
        if let pending = devices[index].pendingBusy {
            let share = to == end ? pending : UInt64(Double(pending) * Double(part) / Double(end - from))
            devices[index].stream.percentMilliseconds = (devices[index].stream.percentMilliseconds ?? 0) + share
            devices[index].pendingBusy = pending - min(share, pending)
        } else if reading.busyNanoseconds == nil, let percent = reading.utilizationPercent, percent <= 100 {
            devices[index].stream.percentMilliseconds =
                (devices[index].stream.percentMilliseconds ?? 0) + UInt64(percent) * part
        }
        if let memory = reading.memoryUsedBytes, memory <= Self.maximumMemory {
            devices[index].stream.memoryByteMilliseconds =
                (devices[index].stream.memoryByteMilliseconds ?? 0) + memory * part
        }
        if let pending = devices[index].pending {
            // The part of what is left; the last part takes the rest, so nothing is lost by rounding.
            let share = to == end ? pending : UInt64(Double(pending) * Double(part) / Double(end - from))
            devices[index].stream.energyMillijoules = (devices[index].stream.energyMillijoules ?? 0) + share
            devices[index].pending = pending - min(share, pending)
        }
        if to == end { devices[index].stream.samples += 1 }
    }

    /// After the time was credited: devices that came back are observed from here, new ones start.
    private mutating func settle(_ now: UInt64, _ seen: [DeviceReading], _ readings: [String: DeviceReading]) {
        for index in devices.indices where devices[index].stream.gapCause != nil {
            guard let reading = readings[devices[index].stream.gpuUUID] else { continue }
            close(index, at: now, offset, next: nil)
            devices[index].energy = reading.energyMillijoules.map { ($0, now) }
            devices[index].busy = Self.busy(reading)
        }
        for reading in seen where !devices.contains(where: { $0.stream.gpuUUID == reading.uuid }) {
            if devices.count >= configuration.maximumStreams {
                guard let vanished = devices.firstIndex(where: { $0.stream.gapCause != nil }) else { continue }
                close(vanished, at: now, offset, next: nil)
                devices.remove(at: vanished)
            }
            var device = Device(
                stream: .init(
                    gpuUUID: reading.uuid, startMilliseconds: now, gapCause: reading.state == .ok ? nil : .nvmlError),
                first: now)
            device.energy = reading.energyMillijoules.map { ($0, now) }
            device.busy = Self.busy(reading)
            devices.append(device)
        }
    }

    // MARK: Closing

    private mutating func closeAll(at end: UInt64, _ offset: Int64) {
        for index in devices.indices { close(index, at: end, offset, next: devices[index].stream.gapCause) }
        intervalStart = end
    }

    private mutating func close(_ index: Int, at end: UInt64, _ offset: Int64, next cause: UsageRecord.GapCause?) {
        var stream = devices[index].stream
        if let percent = stream.percentMilliseconds {
            let total = percent + devices[index].carry
            stream.percentMilliseconds = total
            let credited = min(total / 100, end - min(end, stream.startMilliseconds))
            devices[index].carry = min(total - credited * 100, Self.mostCarry)
        }
        if stream.startMilliseconds < end {
            emit(
                stream.gpuUUID, bootID, stream.startMilliseconds, end, Int64(clamping: end) + offset,
                stream.content(end: end, sampleInterval: configuration.sampleIntervalMilliseconds))
            devices[index].accounted += end - stream.startMilliseconds
        }
        assert(devices[index].accounted == end - devices[index].first, "observed and gaps are not the whole time")
        devices[index].stream = .init(gpuUUID: stream.gpuUUID, startMilliseconds: end, gapCause: cause)
    }

    private mutating func emit(
        _ uuid: String, _ bootID: String, _ start: UInt64, _ end: UInt64, _ realtime: Int64,
        _ content: UsageRecord.Content
    ) {
        guard start < end else { return }
        spans.append(
            ClosedSpan(
                gpuUUID: uuid, bootID: bootID, startMilliseconds: start, endMilliseconds: end,
                endRealtimeMilliseconds: realtime, content: content))
    }
}
