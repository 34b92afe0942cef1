import Environment
import Glibc
import LinuxKit
import Settings
import Storage
import Testing

private func value(_ name: String, _ plan: EnvironmentPlan) -> String? {
    plan.variables.first { $0.name == name }?.value
}
private func reason(_ name: String, _ plan: EnvironmentPlan) -> String? {
    plan.skipped.first { $0.name == name }?.reason
}

@Suite struct PlanTests {
    @Test func noVariableIsBothSetAndLeftAloneAndEveryLeafIsLinked() {
        let plan = EnvironmentPlan.make(facts())
        let set = Set(plan.variables.map(\.name) + plan.userVariables.map(\.name))
        #expect(plan.skipped.filter { set.contains($0.name) } == [])
        let linked = plan.links.map(\.path)
        for leaf in ["huggingface/hub", "modelscope", "torch/hub", "kagglehub"] {
            #expect(linked.contains("/root/.cache/\(leaf)"), "\(leaf)")
        }
        // Beside the models lies the token, which stays where it is.
        #expect(!linked.contains("/root/.cache/huggingface"))
    }

    @Test func anUntouchedContainerGetsEveryDirectTool() {
        let plan = EnvironmentPlan.make(facts())
        #expect(value("HF_HOME", plan) == "/mnt/v/huggingface")
        #expect(value("PIP_CACHE_DIR", plan) == "/mnt/v/.packet/cache/pip")
        for name in ["TORCH_HOME", "MODELSCOPE_CACHE", "KAGGLEHUB_CACHE", "KERAS_HOME", "OLLAMA_MODELS"] {
            #expect(value(name, plan)?.hasPrefix("/mnt/v/models/") == true, "\(name)")
        }
        #expect(value("NLTK_DATA", plan) == "/mnt/v/data/nltk")
        #expect(plan.directories.contains(.shared("data/nltk")))
        #expect(plan.variables.allSatisfy { $0.value.hasPrefix("/mnt/v/") && !$0.why.isEmpty })
    }

    @Test func whatFollowsItsParentIsNotSetSoThatALaterHomeWins() {
        let plan = EnvironmentPlan.make(facts())
        #expect(reason("HF_HUB_CACHE", plan) == "follows HF_HOME")
        #expect(reason("HF_DATASETS_CACHE", plan) == "follows HF_HOME")
    }

    @Test func anEphemeralChildOfTheContainerIsReplacedByItself() {
        let plan = EnvironmentPlan.make(facts(["HF_HUB_CACHE": "/root/hub"]))
        #expect(value("HF_HUB_CACHE", plan) == "/mnt/v/huggingface/hub")
        #expect(plan.variables.first { $0.name == "HF_HUB_CACHE" }?.replaces == "/root/hub")
        #expect(plan.variables.first { $0.name == "HF_HUB_CACHE" }?.why.contains("/root/hub is lost") == true)
    }

    @Test func aContainerValueOnAVolumeWins() {
        let plan = EnvironmentPlan.make(facts(["HF_HOME": "/mnt/other/hf", "NLTK_DATA": "/mnt/other/nltk"]))
        #expect(value("HF_HOME", plan) == nil)
        #expect(reason("HF_HOME", plan) == "the container sets HF_HOME=/mnt/other/hf, which survives the pod")
        #expect(reason("HF_HUB_CACHE", plan) == "already at /mnt/other/hf/hub, which survives the pod")
        #expect(reason("NLTK_DATA", plan)?.contains("/mnt/other/nltk") == true)
        #expect(plan.userVariables.isEmpty)
    }

    @Test func aWholeCacheHomeOnAVolumeWinsToo() {
        let plan = EnvironmentPlan.make(facts(["XDG_CACHE_HOME": "/mnt/v/cache"]))
        #expect(value("HF_HOME", plan) == nil)
        #expect(value("PIP_CACHE_DIR", plan) == nil)
        #expect(value("OLLAMA_MODELS", plan) != nil)
    }

    @Test func keptVariablesStayAndTakeTheirChildrenAlong() {
        var facts = facts(["HF_HOME": "/root/hf"])
        facts.keep = ["HF_HOME", "PYTHONPATH"]
        let plan = EnvironmentPlan.make(facts)
        #expect(value("HF_HOME", plan) == nil)
        #expect(value("HF_HUB_CACHE", plan) == nil)
        #expect(reason("PYTHONPATH", plan)?.contains("environment.keep") == true)
    }

    @Test func theTokenIsPrivateToItsUserAndNeverBelowHome() {
        var facts = facts()
        facts.users = [.root, .init(uid: 1000, home: "/home/ann")]
        let plan = EnvironmentPlan.make(facts)
        let token = plan.userVariables.first { $0.name == "HF_TOKEN_PATH" }
        #expect(token?.value(home: "/root") == "/mnt/v/.packet/secrets/0/hf/token")
        #expect(token?.value(home: "/home/ann") == "/mnt/v/.packet/secrets/1000/hf/token")
        #expect(token?.value(home: "/home/bob") == "/home/bob/.cache/huggingface/token")
        #expect(token?.value(home: "") == nil)
        #expect(plan.directories.contains(.private(".packet/secrets/1000/hf", uid: 1000)))
        #expect(!plan.variables.contains { $0.name == "HF_TOKEN_PATH" })
    }

    @Test func transferChunksStayInTheHomeDirectory() {
        let own = EnvironmentPlan.make(facts()).variables(for: .init(uid: 7, home: "/h"))
        #expect(own.first { $0.name == "HF_XET_CACHE" }?.value == "/h/.cache/huggingface/xet")
    }

    @Test func dangerousVariablesAreNeverSetAndSayWhy() {
        let plan = EnvironmentPlan.make(facts())
        for name in [
            "XDG_CACHE_HOME", "PIP_TARGET", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "UV_CACHE_DIR", "TMPDIR",
        ] {
            #expect(value(name, plan) == nil)
            #expect(reason(name, plan)?.isEmpty == false, "\(name)")
        }
    }

    @Test func withoutAVolumeNothingIsSetAndEveryVariableSaysWhy() {
        let plan = EnvironmentPlan.make(facts(volume: nil))
        #expect(plan.variables.isEmpty && plan.userVariables.isEmpty && plan.directories.isEmpty)
        #expect(reason("HF_HOME", plan) == "no volume is mounted")
    }

    @Test func aValueThatTheToolWouldMisreadIsNotSet() {
        let plan = EnvironmentPlan.make(
            facts(["HOME": "/root"], volume: .init(name: "odd", mountPoint: "/mnt/$HOME:x")))
        #expect(value("HF_HOME", plan) == nil)
        #expect(reason("HF_HOME", plan)?.contains("would read") == true)
        #expect(value("NLTK_DATA", plan) == nil)
        #expect(value("PIP_CACHE_DIR", plan) == "/mnt/$HOME:x/.packet/cache/pip")
    }

    @Test func aCacheThatIsSwitchedOffStaysOff() {
        #expect(
            reason("PIP_CACHE_DIR", EnvironmentPlan.make(facts(["PIP_NO_CACHE_DIR": "1"])))
                == "switched off in the container")
    }
}

@Suite struct OwnTracesTests {
    /// Facts of a pod with real files: whatever is a link to the volume survives.
    private func facts(_ scratch: Scratch) -> EnvironmentPlan.Facts {
        var facts = EnvironmentPlan.Facts(
            volume: volume, container: ["HOME": scratch.path],
            isPersistent: { path in
                let target = (try? LocalFile.linkTarget(path)).map { String(decoding: $0, as: UTF8.self) }
                return (target ?? path).hasPrefix("/mnt/")
            })
        facts.users = [.init(uid: 0, home: scratch.path)]
        return facts
    }

    @Test func ourOwnLinksAndBlocksDecideNothingInTheNextPlan() throws {
        let scratch = try Scratch()
        let first = EnvironmentPlan.make(facts(scratch))
        #expect(first.links.contains { $0.path == scratch.path + "/nltk_data" && $0.target == "/mnt/v/data/nltk" })
        for link in first.links {
            try AtomicFile.createDirectory(AtomicFile.parent(of: link.path))
            symlink(link.target, link.path)
        }
        let block = try #require(
            MarkedBlock.put(Array("[global]\ncache-dir = /mnt/v/.packet/cache/pip\n".utf8), into: nil))
        try AtomicFile.createDirectory(scratch.path + "/.config/pip")
        try AtomicFile.write(block, to: scratch.path + "/.config/pip/pip.conf")
        #expect(EnvironmentPlan.make(facts(scratch)) == first)
    }

    @Test func aConfigurationFileOfTheUserWinsEvenWhenItsPlaceIsLost() throws {
        let scratch = try Scratch()
        try AtomicFile.createDirectory(scratch.path + "/.config/pip")
        try AtomicFile.write("[global]\ncache-dir = /tmp/mine\n".utf8, to: scratch.path + "/.config/pip/pip.conf")
        let plan = EnvironmentPlan.make(facts(scratch))
        #expect(value("PIP_CACHE_DIR", plan) == nil)
        #expect(reason("PIP_CACHE_DIR", plan)?.contains("a configuration file puts it at /tmp/mine") == true)
    }
}

@Suite struct PythonPathTests {
    private func plan(_ tags: [[String]], _ minors: [Int], rule: PythonPathRule = .auto, existing: String? = nil)
        -> EnvironmentPlan
    {
        var facts = facts(existing.map { ["PYTHONPATH": $0] } ?? [:])
        facts.pythonPath = rule
        facts.pythonPackages = .found(
            tags: tags, interpreters: minors.map { .init(path: "/usr/bin/python3.\($0)", major: 3, minor: $0) })
        return EnvironmentPlan.make(facts)
    }

    @Test func packagesThatFitEveryInterpreterArePutInFront() {
        let plan = plan([["py3-none-any"], ["cp37-abi3-manylinux_2_17_x86_64"]], [10, 11], existing: "/opt/x")
        #expect(value("PYTHONPATH", plan) == "/mnt/v/pip-packages")
        #expect(
            ExecEnvironment.merge(plan, into: ["PYTHONPATH": "/opt/x"])["PYTHONPATH"] == "/mnt/v/pip-packages:/opt/x")
    }

    @Test func onePackageForAnotherVersionIsEnoughToStayAway() {
        let plan = plan([["py3-none-any"], ["cp311-cp311-linux_x86_64"]], [10, 11])
        #expect(value("PYTHONPATH", plan) == nil)
        #expect(reason("PYTHONPATH", plan)?.contains("cp311") == true)
    }

    @Test func alwaysMeansAlwaysAndNeverNever() {
        #expect(value("PYTHONPATH", self.plan([["cp27-cp27m-linux_x86_64"]], [11], rule: .always)) != nil)
        #expect(value("PYTHONPATH", self.plan([["py3-none-any"]], [11], rule: .never)) == nil)
    }

    @Test func tagsAreReadAsTheStandardSays() {
        let python = PythonPackages.Interpreter(path: "/p", major: 3, minor: 11)
        for tag in [
            "py3-none-any", "py2.py3-none-any", "py311-none-any", "cp311-cp311-linux_x86_64", "cp36-abi3-any",
            "cp310-none-any",
        ] {
            #expect(python.accepts(tag: tag), "\(tag)")
        }
        for tag in [
            "py2-none-any", "py312-none-any", "cp310-cp310-any", "cp312-abi3-any", "pp311-pypy-any", "", "x",
            "cp311--any", "é-ü-ß",
        ] {
            #expect(!python.accepts(tag: tag), "\(tag)")
        }
    }

    @Test func aRealDirectoryIsExaminedInAChild() throws {
        let scratch = try Scratch()
        for package in ["a-1", "b-2"] { try AtomicFile.createDirectory("\(scratch.path)/p/\(package).dist-info") }
        try AtomicFile.write(
            "Wheel-Version: 1.0\nTag: py3-none-any\n".utf8, to: scratch.path + "/p/a-1.dist-info/WHEEL")
        try AtomicFile.createDirectory(scratch.path + "/bin")
        try AtomicFile.write("#!/bin/sh\necho 3 9\n".utf8, to: scratch.path + "/bin/python3", mode: 0o755)
        let found = PythonPackages.examine(
            scratch.path + "/p", path: scratch.path + "/bin", probe: ChildSide.probe, milliseconds: 60_000)
        #expect(
            found
                == .found(
                    tags: [["py3-none-any"], ["unknown"]],
                    interpreters: [.init(path: scratch.path + "/bin/python3", major: 3, minor: 9)]))
        let none = PythonPackages.examine(
            scratch.path + "/missing", path: "/usr/bin", probe: ChildSide.probe, milliseconds: 60_000)
        #expect(none == .absent)
    }
}

@Suite struct StorageRuleNamesTests {
    @Test func theConfigurationKnowsEveryLifetime() {
        #expect(StorageRule.lifetimes == Lifetime.allCases.map(\.rawValue))
    }
}
