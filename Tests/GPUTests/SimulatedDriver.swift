import CNVML
import Glibc
import LinuxKit
import Synchronization
import Testing

@testable import GPU

/// A copy of the NVML simulator with a scenario of its own: many fit into one process, so tests run side by side.
final class SimulatedDriver: Sendable {
    let directory: String
    let library: String
    private let scenarioPath: String
    private let isHeld = Mutex(true)
    // unsafe: dlopen's handle, only ever given to dlsym, which is thread-safe.
    nonisolated(unsafe) private let handle: UnsafeMutableRawPointer

    /// Builds the simulator for a driver branch, once per process, with the project's own script.
    private static let builds = Mutex<[String: String]>([:])

    static func build(_ level: String) throws -> String {
        try builds.withLock { builds in
            if let built = builds[level] { return built }
            let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
            let output = "/\(root)/.build/nvml-simulator-tests/\(level)"
            let environment = ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
            let result = try ChildProcess.capture(
                ChildProcess.Specification(
                    executable: "/bin/sh",
                    arguments: ["/\(root)/scripts/build-nvml-simulator", "--driver", level, output],
                    environment: environment, descriptors: (nil, nil, 2)),
                milliseconds: 120_000)
            try #require(result.termination == .exited(0), "scripts/build-nvml-simulator failed")
            builds[level] = output + "/libnvidia-ml.so.1"
            return output + "/libnvidia-ml.so.1"
        }
    }

    init(_ scenario: String, level: String = "R580", hiding: String? = nil) throws {
        var template = Array("/tmp/gpu-tests.XXXXXX".utf8CString)
        directory = try #require(mkdtemp(&template).map { String(cString: $0) })
        library = directory + "/libnvidia-ml.so.1"
        scenarioPath = directory + "/scenario"
        // A copy is another library for ld.so, with state of its own.
        var bytes = try LocalFile.read(try Self.build(level))
        if let hiding { try Self.hide(hiding, in: &bytes) }
        try Descriptor(opening: library, O_CREAT | O_WRONLY, mode: 0o755).writeAll(bytes)
        try Descriptor(opening: scenarioPath, O_CREAT | O_WRONLY, mode: 0o644).writeAll(Array(scenario.utf8))
        handle = try #require(dlopen(library, RTLD_NOW))
        typealias UseScenario = @convention(c) (UnsafePointer<CChar>) -> Void
        let use = try #require(dlsym(handle, "nvmlSimulatorUseScenario"))
        unsafeBitCast(use, to: UseScenario.self)(scenarioPath)
    }

    /// Renames a function in the table of names that dlsym searches: the first place of the file where it stands.
    private static func hide(_ function: String, in library: inout [UInt8]) throws {
        let name = [0] + Array(function.utf8) + [0]
        let start = try #require(library.indices.first { library[$0...].starts(with: name) }, "no \(function)")
        library[start + 1] = UInt8(ascii: "x")
    }

    /// Closes the library here; no more may be asked of it after that but to change the scenario.
    func letGo() {
        let isFirst = isHeld.withLock { held in
            defer { held = false }
            return held
        }
        if isFirst { dlclose(handle) }
    }

    deinit {
        letGo()
        for name in ["scenario", "scenario.new", "libnvidia-ml.so.1", "late.so"] { unlink(directory + "/" + name) }
        rmdir(directory)
    }

    /// Replaces the scenario in one step.
    func change(_ scenario: String) throws {
        try Descriptor(opening: scenarioPath + ".new", O_CREAT | O_WRONLY | O_TRUNC, mode: 0o644)
            .writeAll(Array(scenario.utf8))
        try #require(rename(scenarioPath + ".new", scenarioPath) == 0)
    }

    /// How often a function was called; any function for nil.
    func calls(_ function: String? = nil) throws -> UInt64 {
        typealias CallCount = @convention(c) (UnsafePointer<CChar>?) -> UInt64
        let symbol = try #require(dlsym(handle, "nvmlSimulatorCallCount"))
        return unsafeBitCast(symbol, to: CallCount.self)(function)
    }

    /// What was allocated in the library and not given back: event sets and profiling samples.
    func outstanding() throws -> (eventSets: UInt32, profilingSamples: UInt32) {
        typealias Count = @convention(c) () -> UInt32
        let sets = try #require(dlsym(handle, "nvmlSimulatorEventSets"))
        let samples = try #require(dlsym(handle, "nvmlSimulatorGpmSamples"))
        return (unsafeBitCast(sets, to: Count.self)(), unsafeBitCast(samples, to: Count.self)())
    }

    /// What NVML says to somebody who did not initialize it: UNINITIALIZED unless the agent holds it open.
    func countReturns() throws -> Int32 {
        let symbol = try #require(dlsym(handle, "nvmlDeviceGetCount_v2"))
        var count: UInt32 = 0
        return unsafeBitCast(symbol, to: nvmlDeviceGetCount_v2_fn.self)(&count)
    }

    /// Options for this driver with short pauses.
    var options: GPUSampler.Options {
        var options = GPUSampler.Options()
        options.libraryPath = library
        options.intervalMilliseconds = 250
        // Never within a test, however slow the machine.
        options.enumerationIntervalMilliseconds = 3_600_000
        options.retryMilliseconds = 10
        // A machine that is busy with other tests must not find the sampler in a long pause.
        options.retryLimitMilliseconds = 20
        options.lostRetryMilliseconds = 3_600_000
        options.eventWaitMilliseconds = 20
        return options
    }

    func start(
        _ adjust: (inout GPUSampler.Options) -> Void = { _ in },
        onTick: @escaping @Sendable (GPUSnapshot) -> Void = { _ in }
    ) throws -> GPUSampler {
        var options = options
        adjust(&options)
        let sampler = try GPUSampler(options, onTick: onTick)
        try sampler.start()
        return sampler
    }
}

extension GPUSampler {
    /// The first snapshot that fits, or a failed expectation. The limit only ends a test that would never end: how
    /// long a tick takes beside all other tests says nothing about the sampler.
    @discardableResult
    func snapshot(
        that fits: (GPUSnapshot) -> Bool, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> GPUSnapshot {
        let limit = ContinuousClock.now + .seconds(300)
        while ContinuousClock.now < limit {
            let snapshot = snapshot
            if fits(snapshot) { return snapshot }
            try await Task.sleep(for: .milliseconds(5))
        }
        Issue.record("no such snapshot within 300 s; the last one: \(snapshot)", sourceLocation: sourceLocation)
        return snapshot
    }

    /// The next snapshot after the ticks that are under way now.
    func settled(sourceLocation: SourceLocation = #_sourceLocation) async throws -> GPUSnapshot {
        let tick = snapshot.tick
        return try await snapshot(that: { $0.tick >= tick + 2 }, sourceLocation: sourceLocation)
    }
}
