import AgentService
import ArgumentParser
import FoundationEssentials
import GPU
import LocalAPI
import Settings

struct GPUReleaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release", abstract: "Let go of all GPUs, so that they can be reset or repartitioned.",
        discussion: """
            An open monitor keeps nvidia-smi --gpu-reset and changes of MIG from working. Sampling and metering pause until \
            'packet-agent gpu resume', or until the time is up; the pause is recorded as a gap. Only root and the users in \
            agent.allowed_users may do this.
            """)

    @Option(name: .customLong("for"), help: "Seconds until sampling goes on by itself, 1 to 86400.")
    var seconds = GPURelease.defaultSeconds

    func validate() throws {
        guard GPURelease.seconds.contains(seconds) else { throw ValidationError("--for takes 1 to 86400 seconds") }
    }

    func run() async throws {
        let socket = AgentPaths(Context.load()).socket
        try await GPUControl.post("/v1/gpu/release", GPURelease.Request(seconds: seconds), socket)
        guard try await GPUControl.wait(socket, until: { $0 == .released }) else {
            throw Failure.failed("the driver does not answer, so the GPUs cannot be let go; see packet-agent gpu")
        }
        Terminal.write("The GPUs are let go for \(seconds) s; 'packet-agent gpu resume' takes them up before.")
    }
}

struct GPUResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Sample GPUs again after 'gpu release'.")

    func run() async throws {
        let socket = AgentPaths(Context.load()).socket
        try await GPUControl.post("/v1/gpu/resume", nil, socket)
        guard try await GPUControl.wait(socket, until: { $0 != .released }) else {
            throw Failure.failed("the agent has not taken the GPUs up yet; see packet-agent gpu")
        }
        Terminal.write("The GPUs are sampled again.")
    }
}

/// What both commands ask the daemon.
private enum GPUControl {
    static func post(_ path: String, _ request: GPURelease.Request?, _ socket: String) async throws {
        let body = request.flatMap { try? JSONEncoder().encode($0) }.map { Array($0) } ?? []
        do { _ = try await LocalClient.post(path, body, socket: socket) } catch {
            throw Failure.cannot("\(error)")
        }
    }

    /// Waits up to 10 s for the sampler to do what it was told.
    static func wait(_ socket: String, until isDone: (GPUState) -> Bool) async throws -> Bool {
        for _ in 0..<100 {
            if let bytes = try? await LocalClient.get("/v1/gpu", socket: socket),
                isDone(try Context.decode(GPUSnapshot.self, bytes).state)
            {
                return true
            }
            try await Task.sleep(for: .milliseconds(100))
        }
        return false
    }
}
