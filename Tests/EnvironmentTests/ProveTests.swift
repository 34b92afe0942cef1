import Glibc
import LinuxKit
import Testing

@testable import Environment

@Suite struct ProveTests {
    private let plan = EnvironmentPlan.make(facts())

    private func judge(_ kind: SessionKind, _ entries: [String]) -> SessionProof.Session {
        let trial = SessionTrial(kind: kind, title: "t") { _ in .failed("not run") }
        let wanted = [
            EnvironmentVariable(name: "HF_HOME", value: "/mnt/v/hf", why: ""),
            EnvironmentVariable(name: "TORCH_HOME", value: "/mnt/v/torch", why: "", replaces: "/root/torch"),
            EnvironmentVariable(name: "PYTHONPATH", value: "/mnt/v/pip", why: "", combination: .prepend),
        ]
        return SessionProof.judge(trial, .entries(entries.map { Array($0.utf8) }), wanted)
    }

    @Test func whatASessionHasIsToldApartFromWhatTheUserSet() {
        let all = judge(.zsh, ["HF_HOME=/mnt/v/hf", "TORCH_HOME=/mnt/v/torch", "PYTHONPATH=/mnt/v/pip:/mine"])
        #expect(all.state == .sees && all.seen.count == 3)
        let own = judge(.zsh, ["HF_HOME=/mine", "TORCH_HOME=/mnt/v/torch", "PYTHONPATH=/mnt/v/pip"])
        #expect(own.state == .sees && own.own == ["HF_HOME"])
        let replaced = judge(.zsh, ["HF_HOME=/mnt/v/hf", "TORCH_HOME=/root/torch", "PYTHONPATH=/mine"])
        #expect(replaced.state == .misses && replaced.missing == ["TORCH_HOME", "PYTHONPATH"])
        #expect(judge(.zsh, ["HF_HOME="]).missing.contains("HF_HOME"))
        #expect(judge(.directExec, []).state == .unreachable)
        let cron = SessionProof.judge(
            SessionTrial(kind: .cron, title: "t") { _ in .failed("") }, .entries([Array("A=/a".utf8)]),
            [EnvironmentVariable(name: "A", value: "/a", why: "")],
            usersOwn: [EnvironmentVariable(name: "B", value: "/b", why: "")])
        #expect(cron.state == .sees && cron.reason == "B: set when Python starts" && cron.missing == ["B"])
    }

    @Test func everySessionKindIsTriedAndEveryTrialHasItsOwnTitle() {
        let tried = Set(SessionTrial.all.map(\.kind))
        // What reads a file of its own is tried by the layers' tests.
        #expect(Set(SessionKind.allCases).subtracting(tried) == [.pip, .conda])
        #expect(Set(SessionTrial.all.map(\.title)).count == SessionTrial.all.count)
    }

    @Test func sessionsThatInheritSeeWhatTheyAreGivenAndNothingIsLeftBehind() throws {
        let scratch = try Scratch()
        let wanted = plan.variables(for: .root)
        var base = ["PATH": "/usr/bin:/bin", "HOME": scratch.path]
        for variable in wanted { base[variable.name] = variable.value }
        let ground = TrialGround(directory: scratch.path, base: base, user: .init(uid: geteuid(), home: scratch.path))
        for title in ["sh -c", "bash -c", "bash script", "docker exec, kubectl exec", "python3"] {
            let trial = try #require(SessionTrial.all.first { $0.title == title })
            let session = SessionProof.judge(trial, trial.run(ground), wanted)
            #expect(session.state == .sees, "\(session)")
        }
    }

    @Test func aSessionThatHangsOrIsMissingSaysSo() throws {
        let scratch = try Scratch()
        let ground = TrialGround(directory: scratch.path, base: ["PATH": "/bin"], user: .root)
        guard case .absent("no-such-shell is not installed") = ground.run("no-such-shell", [], leaving: "x") else {
            Issue.record("not absent")
            return
        }
        guard case .failed(let hangs) = ground.run("sleep", ["60"], leaving: "x", milliseconds: 1000) else {
            Issue.record("no failure")
            return
        }
        #expect(hangs == "no answer within 1 s")
        guard case .failed(let status) = ground.run("false", [], leaving: "x") else {
            Issue.record("no failure")
            return
        }
        #expect(status == "it ended with status 1 and ran nothing")
    }

    @Test func theLinesForThePodSpecificationAreYAMLThatSurvivesKubernetes() {
        let odd = PodVariable(name: "A", value: #"/mnt/my "volume" \ $(HOME)"#)
        #expect(
            PodVariable.yaml([odd], indent: 2)
                == "  env:\n  - name: A\n    value: \"/mnt/my \\\"volume\\\" \\\\ $$(HOME)\"\n")
        let all = PodVariable.all(volumeName: "v", mountPoint: "/mnt/v")
        #expect(all.contains(.init(name: "HF_HOME", value: "/mnt/v/huggingface")))
        #expect(all.last == .init(name: "BASH_ENV", value: "/run/packet-agent/env.sh"))
        #expect(!all.contains { $0.name == "HF_TOKEN_PATH" }, "a user's own place is not the same for all")
    }
}
