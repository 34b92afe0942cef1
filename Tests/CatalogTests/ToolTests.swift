import Catalog
import Testing

/// The path that a tool would use with these variables, home /home/ann, working directory /work.
private func path(
    _ id: String, _ environment: [String: String] = [:], files: [String: String] = [:],
    writable: Set<String> = ["/home/ann", "/tmp", "/work"], readOnly: Set<String> = []
) -> String? {
    let context = ResolutionContext(
        environment: ["HOME": "/home/ann"].merging(environment) { _, new in new }, home: "/home/passwd",
        workingDirectory: "/work", uid: 1000, userName: "ann",
        files: FilesInMemory(texts: files, writable: writable, readOnly: readOnly))
    guard let tool = Catalog.tool(id) else {
        Issue.record("no tool \(id)")
        return nil
    }
    return tool.resolve(context)
}

@Suite struct HuggingFaceRelativesTests {
    @Test func transformersReadsHomeLikeTheHubAndDatasetsDoesNot() {
        let split = ["HF_HOME": "$HOME/h"]
        #expect(path("transformers-modules", split) == "/home/ann/h/modules")
        #expect(path("huggingface-modules", split) == "/work/$HOME/h/modules")
    }

    @Test func theOldVariablesOfTransformersMatterOnlyWhenTheyAreSet() {
        #expect(path("transformers-4-models") == nil)
        #expect(path("transformers-4-models", ["PYTORCH_TRANSFORMERS_CACHE": "/p"]) == "/p")
        #expect(
            path("transformers-4-models", ["PYTORCH_TRANSFORMERS_CACHE": "/p", "TRANSFORMERS_CACHE": "/t"]) == "/t")
    }

    @Test func storedTokensLieBesideTheToken() {
        #expect(path("huggingface-stored-tokens") == "/home/ann/.cache/huggingface/stored_tokens")
        #expect(path("huggingface-stored-tokens", ["HF_TOKEN_PATH": "/s/t"]) == "/s/stored_tokens")
        #expect(path("huggingface-stored-tokens", ["HF_TOKEN_PATH": "t"]) == "/work/stored_tokens")
    }

    @Test func stagingMovesTheTokenButNotTheModels() {
        #expect(path("huggingface-hub", ["HUGGINGFACE_CO_STAGING": "1"]) == "/home/ann/.cache/huggingface/hub")
    }

    @Test func followersOfTheHubHaveTheirOwnVariables() {
        #expect(path("sentence-transformers", ["HF_HUB_CACHE": "/h"]) == "/h")
        #expect(path("sentence-transformers", ["HF_HUB_CACHE": "/h", "SENTENCE_TRANSFORMERS_HOME": "/s"]) == "/s")
        #expect(path("llama-cpp") == "/home/ann/.cache/huggingface/hub")
        #expect(path("llama-cpp", ["HF_HOME": "/h", "HF_HUB_CACHE": ""]) == "/h/hub")
        #expect(path("llama-cpp", ["HF_HOME": "/h", "LLAMA_CACHE": "/l"]) == "/l")
        #expect(path("llama-cpp-old", ["XDG_CACHE_HOME": "/c"]) == "/c/llama.cpp")
    }

    @Test func anotherUsersHomeIsExpandedFromThePasswordFile() {
        let files = ["/etc/passwd": "root:x:0:0::/root:/bin/sh\nbob:x:1001:1001::/home/bob/:/bin/sh\n"]
        #expect(path("huggingface-home", ["HF_HOME": "~bob/h"], files: files) == "/home/bob/h")
        #expect(path("huggingface-home", ["HF_HOME": "~nobody/h"], files: files) == "/work/~nobody/h")
    }
}

@Suite struct InstallerTests {
    @Test func pipSwitchesItsCacheOffWhenSomebodyElseOwnsIt() {
        #expect(path("pip-cache", ["PIP_CACHE_DIR": "/c/pip"], readOnly: ["/c"]) == nil)
        #expect(path("pip-cache", ["PIP_CACHE_DIR": "/c/pip"], writable: ["/c"]) == "/c/pip")
        let root = ResolutionContext(
            environment: ["PIP_CACHE_DIR": "/c/pip"], home: "/root", files: FilesInMemory(writable: ["/c"]))
        #expect(Catalog.tool("pip-cache")?.resolve(root) == nil)
    }

    @Test func pipWritesSettingsToTheChosenFileIfItIsThere() {
        #expect(path("pip-configuration") == "/home/ann/.config/pip/pip.conf")
        #expect(path("pip-configuration", ["PIP_CONFIG_FILE": "x"]) == "/home/ann/.config/pip/pip.conf")
        #expect(path("pip-configuration", ["PIP_CONFIG_FILE": "x"], files: ["/work/x": ""]) == "/work/x")
        #expect(path("pip-configuration", ["PIP_CONFIG_FILE": "/dev/null"]) == nil)
    }

    @Test func userPackagesAreOffInAnIsolatedEnvironment() {
        #expect(path("python-user-site") == "/home/ann/.local")
        #expect(path("python-user-site", ["PYTHONUSERBASE": ""]) == "/home/ann/.local")
        #expect(path("python-user-site", ["PYTHONUSERBASE": "b", "PYTHONNOUSERSITE": ""]) == "/work/b")
        #expect(path("python-user-site", ["PYTHONNOUSERSITE": "x"]) == nil)
        for (value, expected) in [("false", nil), ("true", "/home/ann/.local")] {
            let files = ["/v/pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = \(value)\n"]
            #expect(path("python-user-site", ["VIRTUAL_ENV": "/v"], files: files) == expected)
        }
    }

    @Test func uvReadsTheProjectThenTheUserThenTheSystem() {
        var files = ["/etc/uv/uv.toml": "cache-dir = '/system'"]
        #expect(path("uv-cache", files: files) == "/system")
        files["/home/ann/.config/uv/uv.toml"] = "cache-dir = 'user'"
        #expect(path("uv-cache", files: files) == "/work/user")
        files["/work/pyproject.toml"] = "[[tool.uv.index]]\nurl = 'u'\n[tool.uv]\ncache-dir = '/project'"
        #expect(path("uv-cache", files: files) == "/project")
        files["/work/uv.toml"] = "no-cache = true"
        #expect(path("uv-cache", files: files) == nil)
        #expect(path("uv-cache", ["UV_NO_CACHE": "0", "UV_CACHE_DIR": "/c"], files: files) == "/c")
        #expect(path("uv-cache", ["UV_NO_CONFIG": "1"], files: files) == "/home/ann/.cache/uv")
        #expect(path("uv-cache", ["UV_CONFIG_FILE": "/gone"], files: files) == nil)
    }

    @Test func theNearestProjectOfUvHidesSettingsBelowIt() {
        var files = ["/pyproject.toml": "[project]\nname = 'x'", "/work/uv.toml": "cache-dir = '/below'"]
        #expect(path("uv-cache", files: files) == "/home/ann/.cache/uv")
        files["/work/pyproject.toml"] = "[tool.black]"
        #expect(path("uv-cache", files: files) == "/below")
        #expect(
            path("uv-cache", ["XDG_CONFIG_DIRS": ":/s"], files: ["/s/uv/uv.toml": "cache-dir = '/site'"]) == "/site")
    }

    @Test func uvKeepsProgramsBesideItsData() {
        #expect(path("uv-python", ["XDG_DATA_HOME": "/d"]) == "/d/uv/python")
        #expect(path("uv-tools", ["UV_TOOL_DIR": "t"]) == "/work/t")
        #expect(path("uv-programs") == "/home/ann/.local/bin")
        #expect(path("uv-programs", ["XDG_DATA_HOME": "/d/x"]) == "/d/bin")
        #expect(path("uv-programs", ["XDG_DATA_HOME": "/d/x", "XDG_BIN_HOME": "/b"]) == "/b")
    }

    @Test func condaJoinsTheListsOfItsFilesTheStrongestFirst() {
        let files = [
            "/etc/conda/condarc": "pkgs_dirs: [/system, '/other']\n",
            "/home/ann/.condarc": "channels:\n  - x\npkgs_dirs:\n  # none\n  - ~/mine # why\n",
        ]
        #expect(path("conda-packages", files: files, writable: ["/home/ann", "/system"]) == "/home/ann/mine")
        #expect(path("conda-packages", files: files, writable: ["/system"]) == "/system")
        #expect(path("conda-packages", ["CONDA_PKGS_DIRS": "/v"], files: files, writable: ["/v"]) == "/v")
        let final = ["/etc/conda/condarc.d/a.yml": "pkgs_dirs: #!final\n  - /system\n"]
        #expect(path("conda-packages", ["CONDA_PKGS_DIRS": "/v"], files: final) == "/system")
    }

    @Test func condaMakesEnvironmentsInItsRootWhenThatCanBeWritten() {
        let root = ["CONDA_EXE": "/opt/conda/bin/conda"]
        #expect(path("conda-environments", root) == "/home/ann/.conda/envs")
        let files = ["/opt/conda/conda-meta/history": ""]
        #expect(path("conda-environments", root, files: files, writable: ["/opt/conda"]) == "/opt/conda/envs")
        #expect(path("conda-environments", ["CONDA_ENVS_PATH": "/a:/b"], writable: ["/b"]) == "/b")
    }

    @Test func mambaStaysWhereVersionOneWas() {
        #expect(path("mamba") == "/home/ann/.local/share/mamba")
        #expect(path("mamba", readOnly: ["/home/ann/micromamba/envs"]) == "/home/ann/micromamba")
        #expect(path("mamba", ["MAMBA_ROOT_PREFIX": "~/m"]) == "/home/ann/m")
    }

    @Test func pixiSharesRattlersCacheUnlessItHasItsOwn() {
        #expect(path("pixi-home") == "/home/ann/.pixi")
        #expect(path("pixi-cache") == "/home/ann/.cache/rattler/cache")
        #expect(path("pixi-cache", readOnly: ["/home/ann/.cache/pixi"]) == "/home/ann/.cache/pixi")
        #expect(path("pixi-cache", ["RATTLER_CACHE_DIR": "/r"]) == "/r")
        #expect(path("rattler-credentials") == "/home/ann/.rattler/credentials.json")
    }

    @Test func poetrysEnvironmentsLieInItsCache() {
        #expect(path("poetry-environments") == "/home/ann/.cache/pypoetry/virtualenvs")
        #expect(path("poetry-environments", ["POETRY_CACHE_DIR": "/c"]) == "/c/virtualenvs")
        let files = [
            "/work/pyproject.toml": "", "/work/poetry.toml": "[virtualenvs]\npath = '{cache-dir}/here'",
            "/home/ann/.config/pypoetry/config.toml": "cache-dir = '~/c'",
        ]
        #expect(path("poetry-environments", files: files) == "/home/ann/c/here")
        #expect(path("poetry-data", ["POETRY_HOME": "~/p"]) == "/home/ann/p")
        #expect(path("poetry-configuration", ["POETRY_CONFIG_DIR": "p"]) == "/work/p")
    }
}

@Suite struct CompileCacheTests {
    @Test func tritonsDirectoriesFollowItsHome() {
        #expect(path("triton-dump", ["TRITON_HOME": "/t"]) == "/t/.triton/dump")
        #expect(path("triton-override", ["TRITON_OVERRIDE_DIR": ""]) == "/work")
    }

    @Test func inductorCleansTheUserNameAndRefusesAnEmptyDirectory() {
        #expect(path("torch-inductor", ["USER": "a/b"]) == "/tmp/torchinductor_a_b")
        #expect(path("torch-inductor", ["TORCHINDUCTOR_CACHE_DIR": ""]) == nil)
        #expect(path("torch-inductor", writable: ["/work"]) == "/work/torchinductor_ann")
    }

    @Test func cachesThatAreOffAreNowhere() {
        #expect(path("jax") == nil)
        #expect(path("jax", ["JAX_COMPILATION_CACHE_DIR": "/j"]) == "/j")
        #expect(path("jax", ["JAX_COMPILATION_CACHE_DIR": "/j", "JAX_ENABLE_COMPILATION_CACHE": "false"]) == nil)
        #expect(path("jax", ["JAX_COMPILATION_CACHE_DIR": "gs://bucket"]) == nil)
        #expect(path("cuda-kernels", ["CUDA_CACHE_DISABLE": "1"]) == nil)
        #expect(path("cupy", ["CUPY_CACHE_IN_MEMORY": "1"]) == nil)
        #expect(path("tilelang", ["TILELANG_DISABLE_CACHE": "1"]) == nil)
    }

    @Test func vllmsAssetsDoNotFollowItsRoot() {
        #expect(path("vllm-assets", ["VLLM_CACHE_ROOT": "/v"]) == "/home/ann/.cache/vllm/assets")
        #expect(path("vllm-xla", ["XDG_CACHE_HOME": "/c"]) == "/c/vllm/xla_cache")
        #expect(path("vllm-configuration", ["VLLM_CONFIG_ROOT": "~/v"]) == "/home/ann/v")
    }

    @Test func sglangsOldNamesWin() {
        #expect(path("sglang") == "/home/ann/.cache/sglang")
        #expect(path("sglang-deep-gemm", ["SGLANG_CACHE_DIR": "~/s"]) == "/home/ann/s/deep_gemm")
        #expect(path("sglang", ["SGLANG_CACHE_DIR": "/new", "SGL_CACHE_DIR": "/old"]) == "/old")
        #expect(path("sglang-jit", ["SGLANG_CACHE_DIR": "/s"]) == "/home/ann/.cache/sglang/jit")
        #expect(path("sglang-cute", ["SGLANG_CUTE_AOT_CACHE_DIR": ""]) == nil)
    }

    @Test func theOthersHaveDefaultsInTheHomeDirectory() {
        #expect(path("torch-extensions", ["XDG_CACHE_HOME": "/c"]) == "/c/torch_extensions")
        #expect(path("flashinfer-cubins", ["FLASHINFER_CUBIN_DIR": ""]) == "/home/ann/.cache/flashinfer/cubins")
        #expect(path("deep-gemm", ["DG_JIT_CACHE_DIR": ""]) == "/home/ann/.deep_gemm")
        #expect(path("deep-ep", ["EP_JIT_CACHE_DIR": "/e"]) == "/e")
        #expect(path("tilelang", ["TILELANG_CACHE_DIR": "~/t"]) == "/work/~/t")
        #expect(path("tvm-ffi") == "/home/ann/.cache/tvm-ffi")
        #expect(path("numba", ["NUMBA_CACHE_DIR": "", "XDG_CACHE_HOME": "/c"]) == "/c/numba")
        #expect(path("cupy") == "/home/ann/.cupy/kernel_cache")
        #expect(path("cuda-kernels") == "/home/ann/.nv/ComputeCache")
    }
}

@Suite struct DownloaderTests {
    @Test func modelscopeHasTwoDefaultsAndTwoNames() {
        #expect(path("modelscope") == "/home/ann/.cache/modelscope")
        #expect(path("modelscope-old") == "/home/ann/.cache/modelscope/hub")
        #expect(path("modelscope", ["MS_CACHE_HOME": "~/m"]) == "/work/~/m")
        #expect(path("modelscope", ["MS_CACHE_HOME": "/old", "MODELSCOPE_CACHE": "/new"]) == "/new")
        #expect(path("modelscope-home", ["MODELSCOPE_HOME": "~/m"]) == "/home/ann/m")
        #expect(path("modelscope-home", ["MODELSCOPE_CREDENTIALS_PATH": "/m/credentials"]) == "/m")
        #expect(path("modelscope-home", ["MODELSCOPE_CREDENTIALS_PATH": "/m"]) == "/m")
    }

    @Test func someDownloadIntoTheTemporaryDirectory() {
        #expect(path("tensorflow-hub") == "/tmp/tfhub_modules")
        #expect(path("tensorflow-hub", ["TFHUB_CACHE_DIR": "", "TMPDIR": "/work"]) == "/work/tfhub_modules")
    }

    @Test func theRestHasItsOwnRules() {
        #expect(path("fastai", ["FASTAI_HOME": "~/f"]) == "/home/ann/f")
        #expect(path("whisper", ["XDG_CACHE_HOME": "/c"]) == "/c/whisper")
        #expect(path("clip") == "/home/ann/.cache/clip")
        #expect(path("kaggle-token") == "/home/ann/.config/kaggle")
        #expect(path("kaggle-token", readOnly: ["/home/ann/.kaggle"]) == "/home/ann/.kaggle")
        #expect(path("ollama-key") == "/home/ann/.ollama/id_ed25519")
        #expect(path("wandb-artifacts") == "/work/artifacts")
        #expect(path("wandb-data", ["XDG_DATA_HOME": "d"]) == "/home/ann/.local/share/wandb")
        #expect(path("wandb-configuration", ["WANDB_CONFIG_DIR": "~/w"]) == "/home/ann/w")
        #expect(path("comet-configuration", ["COMET_CONFIG": "/c"], readOnly: ["/c"]) == "/c/.comet.config")
        #expect(path("comet-offline") == nil)
    }

    @Test func mlflowKeepsADatabaseUnlessThereAreOldRuns() {
        #expect(path("mlflow") == "/work/mlflow.db")
        #expect(path("mlflow", files: ["/work/mlruns/0/meta.yaml": ""]) == "/work/mlruns")
        #expect(path("mlflow", ["MLFLOW_TRACKING_URI": "sqlite:///m.db"]) == "/work/m.db")
        #expect(path("mlflow", ["MLFLOW_TRACKING_URI": "file:///m"]) == "/m")
        #expect(path("mlflow", ["MLFLOW_TRACKING_URI": "http://server"]) == nil)
    }
}

@Suite struct UserStateTests {
    @Test func jupyterHasThreePlaces() {
        #expect(path("jupyter-configuration") == "/home/ann/.jupyter")
        #expect(path("jupyter-configuration", ["JUPYTER_PLATFORM_DIRS": "1"]) == "/home/ann/.config/jupyter")
        #expect(path("jupyter-configuration", ["JUPYTER_NO_CONFIG": "1"]) == nil)
        #expect(path("jupyter-runtime", ["JUPYTER_DATA_DIR": "/j"]) == "/j/runtime")
    }

    @Test func ipythonFallsBackToANewDirectoryWhereItCannotWrite() {
        #expect(path("ipython") == "/home/ann/.ipython")
        #expect(path("ipython", writable: []) == nil)
        #expect(path("ipython", ["IPYTHONDIR": "~/i"]) == "/home/ann/i")
        let old: Set<String> = ["/home/ann", "/home/ann/.config", "/home/ann/.config/ipython"]
        #expect(path("ipython", writable: old) == "/home/ann/.config/ipython")
    }

    @Test func languagesFollowTheirVariables() {
        #expect(path("npm-cache") == "/home/ann/.npm")
        #expect(path("npm-cache", ["NPM_CONFIG_CACHE": "n"]) == "/work/n")
        #expect(path("npm-cache", files: ["/home/ann/.npmrc": "cache = ~/n\n"]) == "/home/ann/n")
        #expect(path("cargo", ["CARGO_HOME": "c"]) == "/work/c")
        #expect(path("rustup", ["HOME": ""]) == "/home/passwd/.rustup")
        #expect(path("go", ["GOPATH": "/a:/b"]) == "/a")
        #expect(path("go-modules", ["GOPATH": "/a:/b"]) == "/a/pkg/mod")
        #expect(path("go-modules", ["GOMODCACHE": "m"]) == nil)
        #expect(path("go-build", files: ["/home/ann/.config/go/env": "GOCACHE=/g\n"]) == "/g")
        #expect(path("go-build", ["GOCACHE": "off"]) == nil)
    }

    @Test func settingsAndCredentialsLieInTheHomeDirectory() {
        #expect(path("vscode-server") == "/home/ann/.vscode-server")
        #expect(path("cursor-server") == "/home/ann/.cursor-server")
        #expect(path("dotfile-bashrc") == "/home/ann/.bashrc")
        #expect(path("dotfile-bash_history", ["HISTFILE": "/h"]) == "/h")
        #expect(path("dotfile-tmux-conf") == "/home/ann/.tmux.conf")
        #expect(path("dotfile-zshrc", ["ZDOTDIR": "/z"]) == "/z/.zshrc")
        #expect(path("dotfile-config") == "/home/ann/.config")
        #expect(path("ssh") == "/home/ann/.ssh")
        #expect(path("docker", ["DOCKER_CONFIG": "/d"]) == "/d/config.json")
        #expect(path("kubernetes", ["KUBECONFIG": "/a:/b"]) == "/a")
    }

    @Test func nothingOfTheUsersOwnIsEverSet() {
        for tool in Catalog.tools where ["secret", "dotfile"].contains(tool.kind) {
            #expect(tool.placement != .direct, "\(tool.id)")
        }
    }
}
