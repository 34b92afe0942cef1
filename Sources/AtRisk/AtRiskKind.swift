public import Storage

/// What a group of files at risk is to the user.
public enum AtRiskKind: String, Sendable, Codable, CaseIterable {
    /// A model, dataset or space in the cache of the Hugging Face hub.
    case hubRepository = "hf-hub"
    /// Datasets that the `datasets` library prepared.
    case preparedDatasets = "hf-datasets"
    /// Other training data.
    case dataset
    /// A source tree, such as a git clone.
    case code
    /// Downloads of pip or uv.
    case pipCache = "pip-cache"
    /// Installed Python packages.
    case pipPackages = "pip-packages"
    /// A Python virtual environment.
    case virtualEnvironment = "venv"
    /// A conda environment.
    case conda
    /// Compiled kernels.
    case compileCache = "compile-cache"
    /// Models that another tool downloaded.
    case modelCache = "model-cache"
    /// Weights that a training run wrote.
    case checkpoint
    /// Jupyter notebooks.
    case notebook
    /// Commits that exist nowhere else.
    case unpushedCommits = "git-unpushed"
    /// Settings in a home directory.
    case dotfile
    /// Keys and tokens.
    case secret
    /// Packages of the distribution.
    case distributionPackages = "apt"
    /// Anything else.
    case other
}

/// A place where a tool keeps data, and what that data is.
public struct KnownLocation: Sendable, Equatable {
    /// What the data is.
    public let kind: AtRiskKind
    /// The directory or file, without symbolic links.
    public let path: BytePath
    /// What to call it.
    public let title: String

    /// Names a place.
    public init(kind: AtRiskKind, path: BytePath, title: String) {
        self.kind = kind
        self.path = path
        self.title = title
    }

    /// Places below a home directory, for each home; and those that do not depend on it.
    public static func defaults(homes: [BytePath]) -> [KnownLocation] {
        let inHome: [(AtRiskKind, String, String)] = [
            (.secret, ".ssh", "SSH keys"), (.secret, ".netrc", ".netrc"),
            (.secret, ".git-credentials", "git credentials"),
            (.secret, ".aws", "AWS credentials"), (.secret, ".kaggle", "Kaggle token"),
            (.secret, ".pypirc", "PyPI token"),
            (.secret, ".docker/config.json", "registry credentials"), (.secret, ".config/gh", "GitHub token"),
            (.secret, ".gnupg", "GnuPG keys"), (.secret, ".cache/huggingface/token", "Hugging Face token"),
            (.secret, ".cache/huggingface/stored_tokens", "Hugging Face tokens"),
            (.secret, ".huggingface", "Hugging Face token"),
            (.preparedDatasets, ".cache/huggingface/datasets", "prepared datasets"),
            (.modelCache, ".cache/huggingface", "Hugging Face cache"),
            (.pipCache, ".cache/pip", "pip's cache"), (.pipCache, ".cache/uv", "uv's cache"),
            (.compileCache, ".triton", "Triton kernels"), (.compileCache, ".nv/ComputeCache", "CUDA kernels"),
            (.compileCache, ".cache/torch_extensions", "PyTorch extensions"),
            (.compileCache, ".cache/vllm", "vLLM's compiled graphs"),
            (.compileCache, ".cache/flashinfer", "FlashInfer kernels"),
            (.modelCache, ".cache/torch", "PyTorch hub"), (.modelCache, ".ollama", "Ollama models"),
            (.modelCache, ".cache/modelscope", "ModelScope models"), (.modelCache, ".cache/whisper", "Whisper models"),
            (.modelCache, ".cache/clip", "CLIP models"), (.modelCache, "nltk_data", "NLTK data"),
            (.modelCache, ".keras", "Keras models"),
        ]
        return homes.flatMap { home in
            inHome.map { KnownLocation(kind: $0.0, path: home.appending($0.1), title: $0.2) }
        }
    }
}
