/// Every tool that the agent knows.
///
/// Two are missing on purpose: ComfyUI and the Stable Diffusion web UI keep models below their own program directory or
/// where an argument says, so no rule finds them from outside. spaCy's models are pip packages.
public enum Catalog {
    /// The one list in which a tool is registered; the order is the order in which variables are shown and written.
    public static let tools: [ToolLocation] = [
        HuggingFaceHub.locations, Datasets.locations, Transformers.locations, SentenceTransformers.locations,
        // Installers.
        Pip.locations, PythonUserSite.locations, Uv.locations, Conda.locations, Mamba.locations, Pixi.locations,
        Poetry.locations,
        // Downloaded models and data.
        TorchHub.locations, LlamaCpp.locations, Ollama.locations, ModelScope.locations, Keras.locations,
        TensorFlowHub.locations, Nltk.locations, Gensim.locations, Fastai.locations, Kaggle.locations,
        Whisper.locations, Clip.locations,
        // Compiled kernels.
        Triton.locations, TorchInductor.locations, TorchExtensions.locations, CUDA.locations, VLLM.locations,
        SGLang.locations, FlashInfer.locations, DeepGEMM.locations, DeepEP.locations, TileLang.locations,
        TVMFFI.locations, JAX.locations, Numba.locations, CuPy.locations,
        // Experiments.
        WeightsAndBiases.locations, MLflow.locations, Comet.locations,
        // The user's own.
        Jupyter.locations, IPython.locations, EditorServers.locations, Npm.locations, Rust.locations, Go.locations,
        Dotfiles.locations, Credentials.locations,
    ].flatMap { $0 }

    /// The location with this id.
    public static func tool(_ id: String) -> ToolLocation? { tools.first { $0.id == id } }
}
