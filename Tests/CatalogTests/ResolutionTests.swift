import Catalog
import Testing

/// Files in memory: those with a text, and directories that the user may write.
struct FilesInMemory: FileView {
    var texts: [String: String] = [:]
    var writable: Set<String> = []
    var readOnly: Set<String> = []

    func text(of path: String) -> String? { texts[path] }
    func entry(at path: String) -> FileEntry? {
        if texts[path] != nil { return FileEntry(isDirectory: false, permissions: 0o644, uid: 1000) }
        if writable.contains(path) { return FileEntry(uid: 1000) }
        return readOnly.contains(path) || !names(in: path).isEmpty ? FileEntry(uid: 0) : nil
    }
    func access(to path: String) -> FileAccess {
        guard let entry = entry(at: path) else { return .missing }
        return entry.uid == 1000 ? .writable : .notWritable
    }
    func names(in directory: String) -> [String] {
        let names = (Array(texts.keys) + writable + readOnly).filter { $0.hasPrefix(directory + "/") }
            .map { String($0.dropFirst(directory.count + 1).prefix { $0 != "/" }) }
        return Set(names).sorted()
    }
}

/// The path that a tool would use with these variables, home /home/ann, working directory /here.
private func path(
    _ id: String, _ environment: [String: String] = [:], files: [String: String] = [:],
    writable: Set<String> = ["/home/ann", "/tmp", "/here"]
) -> String? {
    let context = ResolutionContext(
        environment: ["HOME": "/home/ann"].merging(environment) { _, new in new }, home: "/home/passwd",
        workingDirectory: "/here", uid: 1000, userName: "ann",
        files: FilesInMemory(texts: files, writable: writable))
    guard let tool = Catalog.tool(id) else {
        Issue.record("no tool \(id)")
        return nil
    }
    return tool.resolve(context)
}

@Suite struct CatalogTests {
    @Test func everyToolHasItsOwnNameAndAKnownParent() {
        #expect(Set(Catalog.tools.map(\.id)).count == Catalog.tools.count)
        for tool in Catalog.tools {
            #expect(tool.parent.map { Catalog.tool($0) != nil } ?? true, "\(tool.id)")
            #expect(tool.volumeSubdirectory?.hasPrefix("/") != true)
        }
    }

    @Test func onlyToolsThatBelongDirectlyOnTheVolumeHaveAPlaceThere() {
        for tool in Catalog.tools {
            #expect((tool.placement == .direct && !tool.isLeftUnset) == (tool.volumeSubdirectory != nil), "\(tool.id)")
        }
    }

    @Test func theVariablesThatTheAgentSetsAreThese() {
        let set = Catalog.tools.filter { $0.placement == .direct && !$0.isLeftUnset }.compactMap(\.variables.first)
        #expect(
            Set(set) == [
                "HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ASSETS_CACHE", "HF_MODULES_CACHE", "PIP_CACHE_DIR",
                "TORCH_HOME", "MODELSCOPE_CACHE", "KAGGLEHUB_CACHE", "KERAS_HOME", "OLLAMA_MODELS", "NLTK_DATA",
                "GENSIM_DATA_DIR", "TFHUB_CACHE_DIR", "FASTAI_HOME",
            ])
    }

    @Test func everyAnswerIsAbsoluteWhateverTheVariablesHold() {
        var generator = SystemRandomNumberGenerator()
        let pieces = [
            "", "/", "~", "~/x", "$HOME", "${HOME}", "${", "$", "a", "..", "./", "//b/", "~root/x", "é", "\n",
        ]
        let names =
            Set(Catalog.tools.flatMap(\.variables)).sorted() + [
                "XDG_CACHE_HOME", "HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "TRITON_HOME",
                "TMPDIR",
                "CONDA_ROOT", "CONDA_EXE", "CONDARC", "POETRY_HOME", "GOENV", "VIRTUAL_ENV", "JUPYTER_PLATFORM_DIRS",
                "UV_CONFIG_FILE",
            ]
        for _ in 0..<300 {
            var environment: [String: String] = [:]
            for name in names where Bool.random(using: &generator) {
                environment[name] = (0..<Int.random(in: 0...3)).map { _ in pieces.randomElement() ?? "" }.joined()
            }
            for tool in Catalog.tools {
                if let found = path(tool.id, environment) { #expect(found.hasPrefix("/"), "\(tool.id) \(environment)") }
            }
        }
    }
}

@Suite struct HuggingFaceTests {
    @Test func homeComesFromItsVariableThenTheCacheHomeThenTheDefault() {
        #expect(path("huggingface-home") == "/home/ann/.cache/huggingface")
        #expect(path("huggingface-home", ["XDG_CACHE_HOME": "/c"]) == "/c/huggingface")
        #expect(path("huggingface-home", ["XDG_CACHE_HOME": "/c", "HF_HOME": "/h"]) == "/h")
    }

    @Test func withoutHomeThePasswordDatabaseDecides() {
        let context = ResolutionContext(environment: [:], home: "/home/passwd")
        #expect(Catalog.tool("huggingface-home")?.resolve(context) == "/home/passwd/.cache/huggingface")
    }

    @Test func anEmptyHomeMakesACacheInTheWorkingDirectory() {
        #expect(path("huggingface-home", ["HF_HOME": ""]) == "/here")
        #expect(path("huggingface-hub", ["HF_HOME": ""]) == "/here/hub")
        #expect(path("huggingface-token", ["HF_HOME": ""]) == "/here/token")
        #expect(path("huggingface-hub", ["XDG_CACHE_HOME": ""]) == "/here/huggingface/hub")
        #expect(path("huggingface-hub", ["HF_HUB_CACHE": ""]) == "/here")
    }

    @Test func tildeAndVariablesAreExpandedOnlyWhereTheLibraryDoes() {
        #expect(path("huggingface-hub", ["HF_HOME": "~/h"]) == "/home/ann/h/hub")
        #expect(path("huggingface-hub", ["HF_HUB_CACHE": "$HOME/${X}/$Y", "X": "x"]) == "/home/ann/x/$Y")
        #expect(path("huggingface-xet", ["HF_XET_CACHE": "~/x"]) == "/here/~/x")
        #expect(path("huggingface-datasets", ["HF_DATASETS_CACHE": "~/d"]) == "/here/~/d")
    }

    @Test func aVariableInHomeSplitsHubAndDatasets() {
        let split = ["HF_HOME": "$HOME/h"]
        #expect(path("huggingface-hub", split) == "/home/ann/h/hub")
        #expect(path("huggingface-datasets", split) == "/here/$HOME/h/datasets")
        #expect(path("huggingface-modules", split) == "/here/$HOME/h/modules")
    }

    @Test func theNewNameOfTheHubCacheBeatsTheOld() {
        #expect(path("huggingface-hub", ["HUGGINGFACE_HUB_CACHE": "~/old"]) == "/home/ann/old")
        #expect(path("huggingface-hub", ["HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "/new"]) == "/new")
        #expect(path("huggingface-assets", ["HUGGINGFACE_ASSETS_CACHE": "/old"]) == "/old")
        #expect(path("huggingface-assets", ["HF_HOME": "/h"]) == "/h/assets")
    }

    @Test func theTokenFollowsHomeUnlessItHasItsOwnPath() {
        #expect(path("huggingface-token", ["HF_HOME": "/h"]) == "/h/token")
        #expect(path("huggingface-token", ["HF_HOME": "/h", "HF_TOKEN_PATH": "~/t"]) == "/home/ann/t")
        #expect(
            path("huggingface-token", ["HUGGINGFACE_CO_STAGING": "1"]) == "/home/ann/.cache/huggingface_staging/token")
    }
}

@Suite struct PipTests {
    @Test func theVariableBeatsTheCacheHome() {
        #expect(path("pip-cache") == "/home/ann/.cache/pip")
        #expect(path("pip-cache", ["XDG_CACHE_HOME": "/c"]) == "/c/pip")
        #expect(path("pip-cache", ["XDG_CACHE_HOME": "/c", "PIP_CACHE_DIR": "~/p"]) == "/home/ann/p")
        #expect(path("pip-cache", ["PIP_CACHE_DIR": "p/../q"]) == "/here/q")
    }

    @Test func emptyAndRelativeCacheHomesAreIgnored() {
        #expect(path("pip-cache", ["XDG_CACHE_HOME": ""]) == "/home/ann/.cache/pip")
        #expect(path("pip-cache", ["XDG_CACHE_HOME": "c"]) == "/home/ann/.cache/pip")
        #expect(path("pip-cache", ["PIP_CACHE_DIR": ""]) == "/home/ann/.cache/pip")
        #expect(path("pip-cache", ["PIP_CACHE_DIR": "$HOME/p"]) == "/here/$HOME/p")
    }

    @Test func aCommandSectionBeatsTheGlobalSectionOfAStrongerFile() {
        let files = [
            "/etc/pip.conf": "[install]\ncache-dir = /from/etc\n",
            "/home/ann/.config/pip/pip.conf": "[global]\ncache_dir: /from/home\n",
        ]
        #expect(path("pip-cache", files: files) == "/from/etc")
        #expect(path("pip-cache", ["PIP_CACHE_DIR": "/from/env"], files: files) == "/from/env")
    }

    @Test func theLastFileWinsWithinASection() {
        let files = [
            "/etc/xdg/pip/pip.conf": "[global]\ncache-dir=/1", "/etc/pip.conf": "[global]\ncache-dir=/2",
            "/home/ann/.pip/pip.conf": "[global]\ncache-dir=/3",
            "/home/ann/.config/pip/pip.conf": "# none\n[global]\n; none\ntimeout = 60",
        ]
        #expect(path("pip-cache", files: files) == "/3")
        #expect(path("pip-cache", ["PIP_CONFIG_FILE": "/dev/null"], files: files) == "/home/ann/.cache/pip")
    }

    @Test func anExistingChosenFileReplacesTheUsersFiles() {
        let files = [
            "/home/ann/.pip/pip.conf": "[global]\ncache-dir=~/mine", "/here/my.conf": "[global]\ntimeout=1",
        ]
        #expect(path("pip-cache", ["PIP_CONFIG_FILE": "my.conf"], files: files) == "/home/ann/.cache/pip")
        #expect(path("pip-cache", ["PIP_CONFIG_FILE": "/missing"], files: files) == "/home/ann/mine")
    }

    @Test func aCacheThatIsOffIsNowhere() {
        #expect(path("pip-cache", ["PIP_NO_CACHE_DIR": "false", "PIP_CACHE_DIR": "/p"]) == nil)
        #expect(path("pip-cache", files: ["/etc/pip.conf": "[global]\nno-cache-dir = true"]) == nil)
    }
}

@Suite struct OtherToolTests {
    @Test func uvRefusesAnEmptyDirectoryAndIgnoresRelativeCacheHomes() {
        #expect(path("uv-cache", ["UV_CACHE_DIR": ""]) == nil)
        #expect(path("uv-cache", ["UV_CACHE_DIR": "c"]) == "/here/c")
        #expect(path("uv-cache", ["UV_NO_CACHE": "1"]) == nil)
        #expect(path("uv-cache", ["XDG_CACHE_HOME": "c"]) == "/home/ann/.cache/uv")
    }

    @Test func torchHubTakesAnEmptyCacheHome() {
        #expect(path("torch-hub") == "/home/ann/.cache/torch/hub")
        #expect(path("torch-hub", ["TORCH_HOME": "~/t"]) == "/home/ann/t/hub")
        #expect(path("torch-hub", ["XDG_CACHE_HOME": ""]) == "/here/torch/hub")
    }

    @Test func compileCachesFollowTheirOwnRules() {
        #expect(path("triton") == "/home/ann/.triton/cache")
        #expect(path("triton", ["TRITON_HOME": "/t"]) == "/t/.triton/cache")
        #expect(path("triton", ["TRITON_CACHE_DIR": ""]) == "/here")
        #expect(path("torch-inductor") == "/tmp/torchinductor_ann")
        #expect(path("torch-inductor", ["TMPDIR": "/scratch"], writable: ["/scratch"]) == "/scratch/torchinductor_ann")
        #expect(path("torch-inductor", ["TMPDIR": "/gone", "USER": "bob"]) == "/tmp/torchinductor_bob")
        #expect(path("vllm", ["VLLM_CACHE_ROOT": "~/v"]) == "/home/ann/v")
        #expect(path("vllm", ["XDG_CACHE_HOME": "/c"]) == "/c/vllm")
        #expect(path("flashinfer", ["FLASHINFER_WORKSPACE_BASE": ""]) == "/here/.cache/flashinfer")
    }

    @Test func modelStoresDifferInWhatAnEmptyValueMeans() {
        #expect(path("modelscope", ["MODELSCOPE_CACHE": ""]) == "/home/ann/.cache/modelscope")
        #expect(path("modelscope", ["MODELSCOPE_CACHE": "~/m"]) == "/home/ann/m")
        #expect(path("kagglehub", ["KAGGLEHUB_CACHE": ""]) == "/here")
        #expect(path("kagglehub", ["KAGGLEHUB_CACHE": "~/k"]) == "/here/~/k")
        #expect(path("ollama", ["OLLAMA_MODELS": " \"/m\" "]) == "/m")
        #expect(path("ollama", ["OLLAMA_MODELS": "''"]) == "/home/ann/.ollama/models")
        #expect(path("keras") == "/home/ann/.keras")
        #expect(path("keras", writable: []) == "/tmp/.keras")
        #expect(path("keras", ["KERAS_HOME": "k"]) == "/here/k")
    }

    @Test func nltkIgnoresItsVariableUntilTheDirectoryExists() {
        #expect(path("nltk", ["NLTK_DATA": "/mnt/v/data/nltk"]) == "/home/ann/nltk_data")
        #expect(path("nltk", ["NLTK_DATA": "/mnt/v/data/nltk"], writable: ["/mnt/v/data/nltk"]) == "/mnt/v/data/nltk")
        #expect(path("nltk", ["NLTK_DATA": "/a:~/b"], writable: ["/home/ann/b"]) == "/home/ann/b")
        #expect(path("nltk", writable: ["/usr/share/nltk_data"]) == "/usr/share/nltk_data")
    }

    @Test func theRestHasDefaultsInTheHomeOrWorkingDirectory() {
        #expect(path("gensim") == "/home/ann/gensim-data")
        #expect(path("gensim", ["GENSIM_DATA_DIR": ""]) == "/here")
        #expect(path("wandb-runs") == "/here/wandb")
        #expect(path("wandb-runs", writable: ["/here", "/here/.wandb"]) == "/here/.wandb")
        #expect(path("wandb-runs", ["WANDB_DIR": "/gone"]) == "/tmp/wandb")
        #expect(path("wandb-cache", ["WANDB_CACHE_DIR": "~/w"]) == "/here/~/w")
        #expect(path("jupyter-data", ["XDG_DATA_HOME": ""]) == "/home/ann/.local/share/jupyter")
        #expect(path("jupyter-data", ["JUPYTER_DATA_DIR": "j"]) == "/here/j")
    }

    @Test func condaTakesTheFirstListedDirectoryThatCanBeWritten() {
        #expect(path("conda-packages", ["CONDA_PKGS_DIRS": "/a,/b"], writable: ["/b"]) == "/b")
        #expect(
            path("conda-packages", ["CONDA_EXE": "/opt/conda/bin/conda"], writable: ["/opt/conda/pkgs"])
                == "/opt/conda/pkgs")
        #expect(path("conda-packages", writable: []) == "/home/ann/.conda/pkgs")
    }
}
