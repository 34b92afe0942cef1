import FoundationEssentials
import GPU
import LocalAPI
import Logging
import Synchronization

/// Lets the GPUs go on request and takes them up again: when asked to, or when the time is up, so that a forgotten release
/// does not end metering for good.
public final class GPURelease: Sendable {
    /// The body of `POST /v1/gpu/release`.
    public struct Request: Codable, Sendable {
        /// Seconds until sampling goes on by itself.
        public var seconds: Int

        /// Asks for a release.
        public init(seconds: Int) { self.seconds = seconds }
    }

    /// How long a release may last, in seconds.
    public static let seconds = 1...86_400
    /// How long it lasts when nothing is said, in seconds.
    public static let defaultSeconds = 600

    private let timer = Mutex<Task<Void, Never>?>(nil)
    private let logger: Logger

    init(logger: Logger) { self.logger = logger }

    /// Does what a POST asks for. Never waits for the driver.
    func perform(_ path: String, _ body: [UInt8], _ sampler: GPUSampler?) -> LocalServer.Answer {
        guard let sampler else { return .refusal(409, "not_sampled", "GPU sampling is switched off (gpu.enabled)") }
        switch path {
        case "/v1/gpu/release":
            let request = body.isEmpty ? Request(seconds: Self.defaultSeconds) : Self.decode(body)
            guard let request, Self.seconds.contains(request.seconds) else {
                return .refusal(400, "invalid", "seconds must be 1 to 86400")
            }
            release(sampler, request.seconds)
        case "/v1/gpu/resume":
            restart(nil)
            sampler.resume()
            logger.notice("GPUs are taken up again on request")
        default: return .refusal(404, "not_found", "no such path")
        }
        return .init(body: Array("{}".utf8))
    }

    private static func decode(_ body: [UInt8]) -> Request? {
        try? JSONDecoder().decode(Request.self, from: Data(body))
    }

    private func release(_ sampler: GPUSampler, _ seconds: Int) {
        sampler.release()
        logger.notice("GPUs are let go on request", metadata: ["seconds": "\(seconds)"])
        restart(
            Task { [logger] in
                try? await Task.sleep(for: .seconds(seconds))
                guard !Task.isCancelled else { return }
                sampler.resume()
                logger.notice("GPUs are taken up again: the time of the release is up")
            })
    }

    private func restart(_ task: Task<Void, Never>?) {
        timer.withLock { timer in
            timer?.cancel()
            timer = task
        }
    }
}
