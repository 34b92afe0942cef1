import CNVML

/// One entry of a process list, whatever its layout was.
struct NVMLProcess: Equatable {
    let pid: UInt32
    /// Bytes; nil where the driver does not say.
    let memory: UInt64?
}

/// Reads process lists whose entries are 16, 24 or 32 bytes long without saying so.
///
/// The first version writes 16 bytes, the later ones 24, but drivers 535.43 to 535.86 wrote 32 under the same name
/// (nvitop, pull requests 79 and 89). So the buffer is filled with a pattern, and how far it was overwritten tells.
enum NVMLProcessList {
    static let strides = [24, 32, 16]
    static let pattern: UInt8 = 0xA5
    /// The kernel's largest pid (PID_MAX_LIMIT on 64-bit, include/linux/threads.h).
    static let largestPID: UInt32 = 4_194_304

    /// The entries, or nil when no known layout fits. `memoryTotal` is the device's memory in bytes, if known.
    static func decode(_ buffer: UnsafeRawBufferPointer, count: Int, memoryTotal: UInt64?) -> [NVMLProcess]? {
        guard count > 0 else { return [] }
        var end = buffer.count
        while end > 0, buffer[end - 1] == pattern { end -= 1 }
        for stride in strides where stride * count <= buffer.count {
            // The last entry was written, and nothing after it.
            guard end <= stride * count, end > stride * (count - 1) + 8 else { continue }
            if stride > 16, end <= stride * count - 8 { continue }
            let entries = (0..<count).map { index in
                let memory = buffer.loadUnaligned(fromByteOffset: index * stride + 8, as: UInt64.self)
                return NVMLProcess(
                    pid: buffer.loadUnaligned(fromByteOffset: index * stride, as: UInt32.self),
                    memory: memory == NVML_VALUE_NOT_AVAILABLE_ULL ? nil : memory)
            }
            let isPlausible = entries.allSatisfy { entry in
                entry.pid > 0 && entry.pid <= largestPID && (entry.memory ?? 0) <= (memoryTotal ?? .max)
            }
            if isPlausible { return entries }
        }
        return nil
    }
}

extension NVMLLibrary {
    /// How often a list that grows between two calls is asked for again.
    static let listAttempts = 5
    private static let slack = 8

    /// The processes of one kind; nil in place of a list that no known layout explains.
    func processes(
        _ device: nvmlDevice_t, _ kind: GPUProcess.Kind, memoryTotal: UInt64?
    ) -> NVMLAnswer<[NVMLProcess]?> {
        let functions: [((nvmlDevice_t?, UnsafeMutablePointer<UInt32>?, UnsafeMutableRawPointer?) -> nvmlReturn_t)?] =
            switch kind {
            case .compute: [table.computeProcessesV3, table.computeProcessesV2, table.computeProcessesV1]
            case .graphics: [table.graphicsProcessesV3, table.graphicsProcessesV2, table.graphicsProcessesV1]
            case .mps: [table.mpsProcessesV3, table.mpsProcessesV2, table.mpsProcessesV1]
            }
        var last = NVMLFailure.functionNotFound
        for function in functions {
            guard let function else { continue }
            switch list(memoryTotal, { function(device, $0, $1) }) {
            case .success(let entries): return .success(entries)
            case .failure(let failure):
                last = failure
                guard failure.asksForFallback else { return .failure(failure) }
            }
        }
        return .failure(last)
    }

    private func list(
        _ memoryTotal: UInt64?, _ function: (UnsafeMutablePointer<UInt32>, UnsafeMutableRawPointer?) -> nvmlReturn_t
    ) -> NVMLAnswer<[NVMLProcess]?> {
        var room = Self.slack
        for _ in 0..<Self.listAttempts {
            // Room for the longest entries, and as much again: nobody may write past the end.
            let size = room * 32 + 64
            let answer: NVMLAnswer<[NVMLProcess]?>? = withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) {
                buffer in
                buffer.initializeMemory(as: UInt8.self, repeating: NVMLProcessList.pattern)
                var count = UInt32(room)
                if let failure = call(.processes, { function(&count, buffer.baseAddress) }) {
                    guard failure == .insufficientSize else { return .failure(failure) }
                    room = min(Int(count), 1 << 14) + Self.slack
                    return nil
                }
                return .success(
                    NVMLProcessList.decode(
                        UnsafeRawBufferPointer(buffer), count: min(Int(count), room), memoryTotal: memoryTotal))
            }
            if let answer { return answer }
        }
        return .failure(.insufficientSize)
    }
}
