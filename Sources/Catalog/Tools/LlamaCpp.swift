/// llama.cpp (`common/hf-cache.cpp` of 2026): the hub's cache, with rules of its own.
enum LlamaCpp {
    static let locations = [
        ToolLocation(
            id: "llama-cpp", title: "llama.cpp models", kind: "hf-hub", placement: .direct, variables: ["LLAMA_CACHE"],
            isLeftUnset: true, parent: "huggingface-home",
            note: "it follows the hub's cache; set, models would not be shared with other tools",
            resolve: { context in
                // Empty values are passed over, nothing is expanded.
                if let own = ["LLAMA_CACHE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"].lazy.compactMap(context.filled)
                    .first
                {
                    return context.absolute(own)
                }
                if let home = context.filled("HF_HOME") { return context.absolute(join(home, "hub")) }
                let cache = context.filled("XDG_CACHE_HOME") ?? join(context.homeOfRust, ".cache")
                return context.absolute(join(cache, "huggingface", "hub"))
            }),
        // Until spring 2026 (`common/common.cpp`, `fs_get_cache_directory`).
        ToolLocation(
            id: "llama-cpp-old", title: "llama.cpp models", kind: "model-cache", placement: .direct,
            variables: ["LLAMA_CACHE"], isLeftUnset: true,
            note: "the place of versions before the hub's cache was used",
            resolve: { context in
                if let own = context.filled("LLAMA_CACHE") { return context.absolute(own) }
                let cache = context.filled("XDG_CACHE_HOME") ?? join(context.homeOfRust, ".cache")
                return context.absolute(join(cache, "llama.cpp"))
            }),
    ]
}
