/// vLLM (0.33 `envs.py`): `~` is expanded, an empty value counts; assets and XLA do not follow VLLM_CACHE_ROOT.
enum VLLM {
    static let locations = [
        ToolLocation(
            id: "vllm", title: "vLLM", kind: "compile-cache", placement: .synced, variables: ["VLLM_CACHE_ROOT"],
            note: "compiled graphs: shared writes have corrupted them",
            resolve: { path("VLLM_CACHE_ROOT", "XDG_CACHE_HOME", ".cache", "vllm", $0) }),
        ToolLocation(
            id: "vllm-assets", title: "vLLM assets", kind: "model-cache", placement: .local,
            variables: ["VLLM_ASSETS_CACHE"], note: "sample images and sounds, cheap to lose",
            resolve: { path("VLLM_ASSETS_CACHE", "XDG_CACHE_HOME", ".cache", "vllm/assets", $0) }),
        ToolLocation(
            id: "vllm-xla", title: "vLLM XLA cache", kind: "compile-cache", placement: .synced,
            variables: ["VLLM_XLA_CACHE_PATH"], note: "compiled graphs: shared writes have corrupted them",
            resolve: { path("VLLM_XLA_CACHE_PATH", "XDG_CACHE_HOME", ".cache", "vllm/xla_cache", $0) }),
        ToolLocation(
            id: "vllm-configuration", title: "vLLM settings", kind: "dotfile", placement: .local,
            variables: ["VLLM_CONFIG_ROOT"], note: "small files of the user",
            resolve: { path("VLLM_CONFIG_ROOT", "XDG_CONFIG_HOME", ".config", "vllm", $0) }),
    ]

    private static func path(
        _ variable: String, _ root: String, _ underHome: String, _ name: String, _ context: ResolutionContext
    ) -> String {
        let base = context.value(root) ?? join(context.homeDirectory, underHome)
        return context.absolute(context.expandUser(context.value(variable) ?? join(base, name)))
    }
}
