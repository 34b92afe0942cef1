import Synchronization

/// The NVML call that a thread is in right now. Written by that thread, read by any.
///
/// A driver call can block for minutes and cannot be interrupted, so a reader must be able to tell without asking it.
final class CallInFlight: Sendable {
    /// The functions the agent calls.
    enum Function: UInt8, CaseIterable {
        case none, load, initialize, shutdown, driverVersion, nvmlVersion, cudaVersion, count, handleByIndex, uuid
        case name, pciInfo, vbiosVersion, minorNumber, migMode, migCount, migHandle, gpuInstanceID, computeInstanceID
        case memory, utilization, samples, fields, power, energy, temperature, clock, clockReasons
        case encoder, decoder, powerLimit, pcieGeneration, pcieWidth, fabric, virtualization, licence, processes
        case profilingSupport, profilingAllocate, profilingFree, profilingSample, profilingMetrics
        case eventSetCreate, eventTypes, registerEvents, eventSetFree
    }

    private let since = Atomic<UInt64>(0)
    private let function = Atomic<UInt8>(0)

    /// Notes that a call starts at `boottime` nanoseconds, never 0.
    func begin(_ called: Function, at boottime: UInt64) {
        function.store(called.rawValue, ordering: .relaxed)
        since.store(boottime, ordering: .releasing)
    }

    /// Notes that it returned.
    func end() { since.store(0, ordering: .releasing) }

    /// The call in flight and its start, if there is one.
    var current: (function: Function, since: UInt64)? {
        let start = since.load(ordering: .acquiring)
        guard start != 0 else { return nil }
        return (Function(rawValue: function.load(ordering: .relaxed)) ?? .none, start)
    }
}
