import Catalog
import FoundationEssentials
import Glibc
import LinuxKit
import Testing

/// Asks the real libraries where they would put things and compares: `scripts/test-catalog-truth` makes the virtual
/// environment and names its interpreter.
@Suite struct TruthTests {
    private static let python = getenv("PACKET_CATALOG_PYTHON").map { String(cString: $0) }

    private static let program = """
        import importlib, json, os, pathlib, subprocess, sys
        import huggingface_hub.constants as hub, datasets.config as ds
        import kagglehub.config as kaggle, jupyter_core.paths as jupyter
        here, tools = os.getcwd(), os.path.dirname(sys.executable)
        for line in sys.stdin:
            case = json.loads(line)
            os.environ.clear(); os.environ.update(case)
            importlib.reload(hub); importlib.reload(ds); importlib.reload(kaggle)
            run = lambda *c: subprocess.run(c, capture_output=True, text=True, env=case)
            pip = run(tools + "/python", "-m", "pip", "cache", "dir")
            uv = run(tools + "/uv", "cache", "dir")
            found = {
                "huggingface-home": hub.HF_HOME, "huggingface-hub": hub.HF_HUB_CACHE, "huggingface-assets": hub.HF_ASSETS_CACHE,
                "huggingface-xet": hub.HF_XET_CACHE, "huggingface-token": hub.HF_TOKEN_PATH,
                "huggingface-datasets": str(ds.HF_DATASETS_CACHE), "huggingface-modules": str(ds.HF_MODULES_CACHE),
                "kagglehub": kaggle.get_cache_folder(), "jupyter-data": jupyter.jupyter_data_dir(),
                "pip-cache": pip.stdout.strip() if pip.returncode == 0 else None,
                "uv-cache": uv.stdout.rstrip("\\n") if uv.returncode == 0 else None,
            }
            print(json.dumps({k: v if v is None else os.path.abspath(v).replace("//", "/") for k, v in found.items()}), flush=True)
        """

    @Test(.enabled(if: python != nil)) func ourAnswersAreThoseOfTheRealTools() throws {
        let python = try #require(Self.python)
        var template = Array("/tmp/catalog.XXXXXX".utf8CString)
        let directory = try #require(mkdtemp(&template).map { String(cString: $0) })
        var generator = Seeded(state: 20_261_123)
        let values = ["", "/abs/dir", "rel", "~/tilde", "$HOME/var", "${UNKNOWN}/x", "/abs/../up", "~", "a b"]
        let names = [
            "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ASSETS_CACHE", "HF_XET_CACHE",
            "HF_TOKEN_PATH", "HF_MODULES_CACHE", "XDG_CACHE_HOME", "XDG_DATA_HOME", "PIP_CACHE_DIR", "UV_CACHE_DIR",
            "KAGGLEHUB_CACHE", "JUPYTER_DATA_DIR",
        ]
        let cases = (0..<60).map { _ in
            var environment = ["HOME": directory + "/home", "PATH": "/usr/bin:/bin"]
            for name in names where Int.random(in: 0..<3, using: &generator) == 0 {
                environment[name] = values.randomElement(using: &generator)
            }
            return environment
        }
        try AtomicFile.createDirectory(directory + "/home")
        let encoder = JSONEncoder()
        let input = try cases.map { String(decoding: try encoder.encode($0), as: UTF8.self) + "\n" }.joined()
        try AtomicFile.write(input.utf8, to: directory + "/cases")
        try AtomicFile.write(Self.program.utf8, to: directory + "/truth.py")
        let stdin = try Descriptor(opening: directory + "/cases", O_RDONLY)
        let answer = try ChildProcess.capture(
            .init(
                executable: python, arguments: [directory + "/truth.py"], environment: ["HOME": directory + "/home"],
                workingDirectory: directory, descriptors: (stdin.number, nil, 2)), milliseconds: 300_000)
        let lines = String(decoding: answer.output, as: UTF8.self).split(separator: "\n")
        try #require(lines.count == cases.count)
        for (environment, line) in zip(cases, lines) {
            let truth = try JSONDecoder().decode([String: String?].self, from: Data(line.utf8))
            let context = ResolutionContext(environment: environment, home: "/root", workingDirectory: directory)
            for (id, path) in truth {
                #expect(Catalog.tool(id)?.resolve(context) == path, "\(id) with \(environment)")
            }
        }
    }
}

/// A small repeatable generator (splitmix64).
private struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
