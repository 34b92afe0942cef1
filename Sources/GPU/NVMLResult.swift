import CNVML

/// A return code of NVML that is not success. Newer drivers invent codes, so any number is possible.
struct NVMLFailure: Error, Equatable, CustomStringConvertible {
    let code: Int32

    init(_ code: Int32) { self.code = code }

    static let uninitialized = NVMLFailure(NVML_ERROR_UNINITIALIZED)
    static let invalidArgument = NVMLFailure(NVML_ERROR_INVALID_ARGUMENT)
    static let notSupported = NVMLFailure(NVML_ERROR_NOT_SUPPORTED)
    static let noPermission = NVMLFailure(NVML_ERROR_NO_PERMISSION)
    static let notFound = NVMLFailure(NVML_ERROR_NOT_FOUND)
    static let functionNotFound = NVMLFailure(NVML_ERROR_FUNCTION_NOT_FOUND)
    static let gpuIsLost = NVMLFailure(NVML_ERROR_GPU_IS_LOST)
    static let resetRequired = NVMLFailure(NVML_ERROR_RESET_REQUIRED)
    static let versionMismatch = NVMLFailure(NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
    static let insufficientSize = NVMLFailure(NVML_ERROR_INSUFFICIENT_SIZE)
    static let deprecated = NVMLFailure(NVML_ERROR_DEPRECATED)

    private static let names = [
        "SUCCESS", "UNINITIALIZED", "INVALID_ARGUMENT", "NOT_SUPPORTED", "NO_PERMISSION", "ALREADY_INITIALIZED",
        "NOT_FOUND", "INSUFFICIENT_SIZE", "INSUFFICIENT_POWER", "DRIVER_NOT_LOADED", "TIMEOUT", "IRQ_ISSUE",
        "LIBRARY_NOT_FOUND", "FUNCTION_NOT_FOUND", "CORRUPTED_INFOROM", "GPU_IS_LOST", "RESET_REQUIRED",
        "OPERATING_SYSTEM", "LIB_RM_VERSION_MISMATCH", "IN_USE", "MEMORY", "NO_DATA", "VGPU_ECC_NOT_SUPPORTED",
        "INSUFFICIENT_RESOURCES", "FREQ_NOT_SUPPORTED", "ARGUMENT_VERSION_MISMATCH", "DEPRECATED", "NOT_READY",
        "GPU_NOT_FOUND", "INVALID_STATE", "RESET_TYPE_NOT_SUPPORTED",
    ]

    var description: String {
        let name =
            code == NVML_ERROR_UNKNOWN
            ? "UNKNOWN" : Self.names.indices.contains(Int(code)) ? Self.names[Int(code)] : "unnamed"
        return "NVML error \(code) (\(name))"
    }

    /// The function exists nowhere in this driver, or not with this structure: an older one may.
    var asksForFallback: Bool {
        self == .functionNotFound || self == .versionMismatch || self == .deprecated || self == .notSupported
    }

    /// What this code says about NVML as a whole rather than about one value or device; nil when it does not.
    var sessionState: GPUState? {
        switch code {
        case NVML_ERROR_DRIVER_NOT_LOADED, NVML_ERROR_GPU_NOT_FOUND: .noDriver
        case NVML_ERROR_LIBRARY_NOT_FOUND: .noLibrary
        case NVML_ERROR_LIB_RM_VERSION_MISMATCH: .driverMismatch
        case NVML_ERROR_OPERATING_SYSTEM: .accessRevoked
        case NVML_ERROR_UNINITIALIZED, NVML_ERROR_UNKNOWN: .error
        default: nil
        }
    }
}

/// The answer of one call.
typealias NVMLAnswer<Value> = Result<Value, NVMLFailure>
