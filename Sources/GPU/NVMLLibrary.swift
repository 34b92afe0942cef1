import CNVML
import Effects
import Glibc
import LinuxKit

/// NVML, loaded at run time: each method is one call into the driver, with its older forms as fallbacks.
///
/// Every symbol but a small core is optional: a missing one answers FUNCTION_NOT_FOUND, exactly as a driver's stub does.
/// Belongs to one thread. It is never unloaded while a call runs, because only that thread could do either.
final class NVMLLibrary {
    /// Why the library cannot be used.
    struct LoadError: Error {
        let state: GPUState
        let reason: String
    }

    private let handle: UnsafeMutableRawPointer
    let table: NVMLFunctions
    private let clock: any Clock
    private let inFlight: CallInFlight
    /// Calls since it was loaded, and nanoseconds spent in them.
    private(set) var calls: UInt64 = 0
    private(set) var nanoseconds: UInt64 = 0

    /// Loads the library at `path`; a bare name is searched for as ld.so(8) does.
    init(path: String, clock: any Clock, inFlight: CallInFlight) throws(LoadError) {
        self.clock = clock
        self.inFlight = inFlight
        inFlight.begin(.load, at: max(1, clock.boottime()))
        defer { inFlight.end() }
        guard let handle = dlopen(path, RTLD_LAZY) else {
            let cause = dlerror().map { String(cString: $0) } ?? "cannot load \(path)"
            throw LoadError(
                state: .noLibrary,
                reason: "\(TerminalText.escape(cause)). A pod with GPUs gets it with the driver capability 'utility'.")
        }
        let table = NVMLFunctions(handle)
        if let missing = table.missingCore {
            dlclose(handle)
            throw LoadError(state: .error, reason: "\(path) has no \(missing): it is not NVML")
        }
        self.handle = handle
        self.table = table
    }

    deinit { dlclose(handle) }

    /// Makes one call, nil for a function that the library lacks.
    func call(_ function: CallInFlight.Function, _ body: () -> nvmlReturn_t?) -> NVMLFailure? {
        let start = max(1, clock.boottime())
        inFlight.begin(function, at: start)
        let answer = body()
        inFlight.end()
        let code = answer ?? NVML_ERROR_FUNCTION_NOT_FOUND
        if answer != nil {
            calls += 1
            nanoseconds += max(start, clock.boottime()) - start
        }
        return code == NVML_SUCCESS ? nil : NVMLFailure(code)
    }

    func answer<Value>(
        _ function: CallInFlight.Function, _ initial: Value, _ body: (inout Value) -> nvmlReturn_t?
    ) -> NVMLAnswer<Value> {
        var value = initial
        if let failure = call(function, { body(&value) }) { return .failure(failure) }
        return .success(value)
    }

    /// Reads a string; one that lacks its terminating zero ends with the buffer, and bytes that are not UTF-8 are repaired.
    private func text(
        _ function: CallInFlight.Function, size: Int, _ body: (UnsafeMutablePointer<CChar>, UInt32) -> nvmlReturn_t?
    ) -> NVMLAnswer<String> {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) { buffer in
            buffer.initialize(repeating: 0)
            guard let base = buffer.baseAddress else { return .failure(.invalidArgument) }
            if let failure = call(function, { body(base, UInt32(size)) }) { return .failure(failure) }
            let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            return .success(TerminalText.escape(String(decoding: bytes, as: UTF8.self)))
        }
    }

    // MARK: the library

    /// Initializes NVML without insisting on a GPU. Each success needs a ``shutdown()``.
    func initialize() -> NVMLFailure? {
        let failure = call(.initialize) { table.initWithFlags?(NVML_INIT_FLAG_NO_GPUS) }
        guard let failure, failure == .functionNotFound else { return failure }
        let second = call(.initialize) { table.initV2?() }
        guard let second, second == .functionNotFound else { return second }
        return call(.initialize) { table.initV1?() }
    }

    func shutdown() { _ = call(.shutdown) { table.shutdown?() } }

    func driverVersion() -> NVMLAnswer<String> {
        text(.driverVersion, size: Int(NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE)) { table.driverVersion?($0, $1) }
    }

    /// Works even when ``initialize()`` failed.
    func nvmlVersion() -> NVMLAnswer<String> {
        text(.nvmlVersion, size: Int(NVML_SYSTEM_NVML_VERSION_BUFFER_SIZE)) { table.nvmlVersion?($0, $1) }
    }

    /// 1000 * major + 10 * minor.
    func cudaVersion() -> NVMLAnswer<Int32> {
        let answer = answer(.cudaVersion, Int32(0)) { table.cudaVersionV2?(&$0) }
        guard case .failure(let failure) = answer, failure.asksForFallback else { return answer }
        return self.answer(.cudaVersion, Int32(0)) { table.cudaVersion?(&$0) }
    }

    // MARK: devices

    /// Includes devices that this container may not use.
    func count() -> NVMLAnswer<UInt32> {
        let answer = answer(.count, UInt32(0)) { table.count?(&$0) }
        guard case .failure(.functionNotFound) = answer else { return answer }
        return self.answer(.count, UInt32(0)) { table.countV1?(&$0) }
    }

    func device(at index: UInt32) -> NVMLAnswer<nvmlDevice_t> {
        let answer = handle(.handleByIndex) { table.handleByIndex?(index, &$0) }
        guard case .failure(.functionNotFound) = answer else { return answer }
        return handle(.handleByIndex) { table.handleByIndexV1?(index, &$0) }
    }

    private func handle(
        _ function: CallInFlight.Function, _ body: (inout nvmlDevice_t?) -> nvmlReturn_t?
    ) -> NVMLAnswer<nvmlDevice_t> {
        switch answer(function, nil, body) {
        case .success(let device?): .success(device)
        case .success(nil): .failure(.notFound)
        case .failure(let failure): .failure(failure)
        }
    }

    func uuid(_ device: nvmlDevice_t) -> NVMLAnswer<String> {
        text(.uuid, size: Int(NVML_DEVICE_UUID_V2_BUFFER_SIZE)) { table.uuid?(device, $0, $1) }
    }

    func name(_ device: nvmlDevice_t) -> NVMLAnswer<String> {
        text(.name, size: Int(NVML_DEVICE_NAME_V2_BUFFER_SIZE)) { table.name?(device, $0, $1) }
    }

    func pciBusID(_ device: nvmlDevice_t) -> NVMLAnswer<String> {
        answer(.pciInfo, nvmlPciInfo_t()) { table.pciInfo?(device, &$0) }.map { info in
            withUnsafeBytes(of: info.busId) { bytes in
                TerminalText.escape(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
            }
        }
    }

    func vbiosVersion(_ device: nvmlDevice_t) -> NVMLAnswer<String> {
        // NVML_DEVICE_VBIOS_VERSION_BUFFER_SIZE is 32.
        text(.vbiosVersion, size: 32) { table.vbiosVersion?(device, $0, $1) }
    }

    func minorNumber(_ device: nvmlDevice_t) -> NVMLAnswer<UInt32> {
        answer(.minorNumber, UInt32(0)) { table.minorNumber?(device, &$0) }
    }

    // MARK: MIG

    /// Whether the GPU is split into MIG instances now.
    func isPartitioned(_ device: nvmlDevice_t) -> NVMLAnswer<Bool> {
        var pending: UInt32 = 0
        return answer(.migMode, UInt32(0)) { table.migMode?(device, &$0, &pending) }
            .map { $0 == NVML_DEVICE_MIG_ENABLE }
    }

    func maximumInstances(_ device: nvmlDevice_t) -> NVMLAnswer<UInt32> {
        answer(.migCount, UInt32(0)) { table.migCount?(device, &$0) }
    }

    /// NOT_FOUND for an empty slot: slots are sparse.
    func instance(_ device: nvmlDevice_t, slot: UInt32) -> NVMLAnswer<nvmlDevice_t> {
        handle(.migHandle) { table.migHandle?(device, slot, &$0) }
    }

    func gpuInstanceID(_ device: nvmlDevice_t) -> NVMLAnswer<UInt32> {
        answer(.gpuInstanceID, UInt32(0)) { table.gpuInstanceID?(device, &$0) }
    }

    func computeInstanceID(_ device: nvmlDevice_t) -> NVMLAnswer<UInt32> {
        answer(.computeInstanceID, UInt32(0)) { table.computeInstanceID?(device, &$0) }
    }

    // MARK: readings

    /// Bytes; `reserved` is nil where the driver (before R510) counts it as used.
    struct Memory {
        var total: UInt64
        var used: UInt64
        var free: UInt64
        var reserved: UInt64?
    }

    func memory(_ device: nvmlDevice_t) -> NVMLAnswer<Memory> {
        let second = answer(.memory, nvmlMemory_v2_t(version: nvmlMemory_v2, total: 0, reserved: 0, free: 0, used: 0)) {
            table.memoryV2?(device, &$0)
        }
        switch second {
        case .success(let memory):
            return .success(
                Memory(total: memory.total, used: memory.used, free: memory.free, reserved: memory.reserved))
        case .failure(let failure) where failure.asksForFallback:
            return answer(.memory, nvmlMemory_t()) { table.memory?(device, &$0) }
                .map { Memory(total: $0.total, used: $0.used, free: $0.free, reserved: nil) }
        case .failure(let failure): return .failure(failure)
        }
    }

    func utilization(_ device: nvmlDevice_t) -> NVMLAnswer<nvmlUtilization_t> {
        answer(.utilization, nvmlUtilization_t()) { table.utilization?(device, &$0) }
    }

    /// Fills `values` in place; each has a result of its own.
    func fields(_ device: nvmlDevice_t, _ values: UnsafeMutableBufferPointer<nvmlFieldValue_t>) -> NVMLFailure? {
        call(.fields) { table.fields?(device, Int32(values.count), values.baseAddress) }
    }

    /// Milliwatts.
    func power(_ device: nvmlDevice_t) -> NVMLAnswer<UInt32> {
        answer(.power, UInt32(0)) { table.power?(device, &$0) }
    }

    /// Millijoules since the driver was loaded.
    func energy(_ device: nvmlDevice_t) -> NVMLAnswer<UInt64> {
        answer(.energy, UInt64(0)) { table.energy?(device, &$0) }
    }

    /// Degrees Celsius.
    func temperature(_ device: nvmlDevice_t) -> NVMLAnswer<Int> {
        let initial = nvmlTemperature_v1_t(
            version: nvmlTemperature_v1, sensorType: NVML_TEMPERATURE_GPU, temperature: 0)
        switch answer(.temperature, initial, { table.temperatureV?(device, &$0) }) {
        case .success(let value): return .success(Int(value.temperature))
        case .failure(let failure) where failure.asksForFallback:
            return answer(.temperature, UInt32(0)) { table.temperature?(device, NVML_TEMPERATURE_GPU, &$0) }
                .map { Int($0) }
        case .failure(let failure): return .failure(failure)
        }
    }

    /// Megahertz.
    func clock(_ device: nvmlDevice_t, _ type: Int32) -> NVMLAnswer<UInt32> {
        answer(.clock, UInt32(0)) { table.clock?(device, type, &$0) }
    }

    func clockEventReasons(_ device: nvmlDevice_t) -> NVMLAnswer<UInt64> {
        let answer = answer(.clockReasons, UInt64(0)) { table.clockEventReasons?(device, &$0) }
        guard case .failure(let failure) = answer, failure.asksForFallback else { return answer }
        return self.answer(.clockReasons, UInt64(0)) { table.clockThrottleReasons?(device, &$0) }
    }

    // MARK: events

    func createEventSet() -> NVMLAnswer<nvmlEventSet_t> {
        switch answer(.eventSetCreate, nvmlEventSet_t?.none, { table.eventSetCreate?(&$0) }) {
        case .success(let set?): .success(set)
        case .success(nil): .failure(.notFound)
        case .failure(let failure): .failure(failure)
        }
    }

    func supportedEvents(_ device: nvmlDevice_t) -> NVMLAnswer<UInt64> {
        answer(.eventTypes, UInt64(0)) { table.eventTypes?(device, &$0) }
    }

    func register(_ device: nvmlDevice_t, _ types: UInt64, _ set: nvmlEventSet_t) -> NVMLFailure? {
        call(.registerEvents) { table.registerEvents?(device, types, set) }
    }

    func freeEventSet(_ set: nvmlEventSet_t) { _ = call(.eventSetFree) { table.eventSetFree?(set) } }
}
