/// Adds up the driver's utilization samples into a counter: every sample once, nothing lost between two looks.
///
/// A sample's value holds for the time since the one before it. Samples carry the wall clock (nvml.h), so a step of
/// that clock starts over; what could not be seen is counted as unobserved, never as idle.
struct BusyIntegrator: Sendable {
    /// A sample: when (wall clock, microseconds) and how many percent.
    struct Sample: Sendable, Equatable {
        let at: UInt64
        let percent: UInt64
    }

    /// Samples lie 1/6 s to 1 s apart (nvml.h, nvmlUtilization_t); a hole above this is one.
    static let longestPeriodMicroseconds: UInt64 = 2_000_000
    /// For looks a tick apart: more than so many intervals is no tick any more (as in the meter).
    static let lateTicks = 2.5

    private(set) var time: GPUBusyTime?
    /// The mean of what was added last, in percent; what it was before when there was nothing new.
    private(set) var percent: Double?
    private var newest: UInt64?
    private var lastLook: UInt64?
    // For looks that see one number: when the last one was.
    private var lastNumber: UInt64?

    /// Samples up to this one are known: what to ask the driver for.
    var lastSeen: UInt64 { newest ?? 0 }

    /// Adds the samples, in the driver's order; those seen before are left out. Returns false when one was above 100 %.
    mutating func take(_ samples: some Sequence<Sample>, boottime: UInt64) -> Bool {
        var (observed, busy, hole): (UInt64, UInt64, UInt64) = (0, 0, 0)
        var isPlausible = true
        guard var last = newest else {
            // The first look only finds out where the driver is.
            var final: Sample?
            for sample in samples { final = sample }
            guard let final else { return true }
            newest = final.at
            percent = final.percent <= 100 ? Double(final.percent) : nil
            miss(since: lastLook, boottime)
            lastLook = boottime
            lastNumber = nil
            if time == nil { time = GPUBusyTime() }
            time?.method = .samples
            return final.percent <= 100
        }
        for sample in samples where sample.at > last {
            let span = sample.at - last
            last = sample.at
            if sample.percent > 100 {
                isPlausible = false
                hole += span
            } else if span > Self.longestPeriodMicroseconds {
                hole += span
            } else {
                observed += span
                busy += span * sample.percent
            }
        }
        guard last != newest else {
            // What was true before is not for ever.
            if let lastLook, boottime > lastLook + Self.longestPeriodMicroseconds * 1000 { percent = nil }
            return true
        }
        newest = last
        var now = time ?? GPUBusyTime()
        now.method = .samples
        now.observedNanoseconds += observed * 1000
        // Percent of microseconds: 1 % of 1 us is 10 ns.
        now.busyNanoseconds += busy * 10
        let sinceLook = lastLook.map { boottime - min(boottime, $0) } ?? 0
        // A hole in the wall clock's time is no longer than what really went by.
        let (holeNanoseconds, overflow) = hole.multipliedReportingOverflow(by: 1000)
        now.unobservedNanoseconds += overflow ? sinceLook : min(holeNanoseconds, sinceLook)
        time = now
        lastLook = boottime
        percent = observed > 0 ? Double(busy) / Double(observed) : nil
        return isPlausible
    }

    /// Adds one number for the time since the last one: where there are no samples.
    mutating func take(percent value: Double?, method: GPUBusyTime.Method, boottime: UInt64, interval: UInt64) {
        var now = time ?? GPUBusyTime(method: method)
        now.method = method
        if let before = lastNumber ?? lastLook, boottime > before {
            let span = boottime - before
            if let value, (0...100).contains(value), Double(span) <= Double(interval) * Self.lateTicks {
                now.observedNanoseconds += span
                now.busyNanoseconds += UInt64(Double(span) * value / 100)
            } else {
                now.unobservedNanoseconds += span
            }
        }
        percent = value.flatMap { (0...100).contains($0) ? $0 : nil }
        time = now
        lastNumber = boottime
        lastLook = boottime
        newest = nil
    }

    /// The wall clock was set: the next samples cannot be compared with the last ones.
    mutating func clockWasSet() { newest = nil }

    private mutating func miss(since before: UInt64?, _ boottime: UInt64) {
        guard let before, boottime > before else { return }
        time?.unobservedNanoseconds += boottime - before
    }
}

/// A counter of the driver that starts again at 0 with the driver: its growth since the agent first saw it.
struct ResetAwareCounter: Sendable {
    private(set) var total: UInt64 = 0
    private(set) var resets: UInt64 = 0
    private var last: UInt64?

    /// Takes the counter's value. A growth above `most` is not believed: it is left out, and the answer is false.
    mutating func take(_ value: UInt64, most: UInt64 = .max) -> Bool {
        defer { last = value }
        guard let before = last else { return true }
        let grown = value >= before ? value - before : value
        // After a reset the value is what was used since: a lower bound of the truth, never a huge number.
        if value < before { resets += 1 }
        guard grown <= most else { return false }
        total += grown
        return true
    }
}
