/// SGLang (0.5.23 `srt/environ.py`). At its start it points Triton, Inductor, CUDA, TileLang and FlashInfer into its own
/// directory unless their variables are set, which is one more reason to leave those alone. `SGL_...` are the old names of
/// `SGLANG_...` and win over them.
enum SGLang {
    static let locations = [
        ToolLocation(
            id: "sglang", title: "SGLang", kind: "compile-cache", placement: .synced, variables: ["SGLANG_CACHE_DIR"],
            note: "kernels of all compilers that SGLang uses, behind locks", resolve: { $0.absolute(root($0)) }),
        ToolLocation(
            id: "sglang-deep-gemm", title: "SGLang DeepGEMM kernels", kind: "compile-cache", placement: .synced,
            variables: ["SGLANG_DG_CACHE_DIR"], parent: "sglang", note: "compiled behind locks",
            resolve: { $0.absolute(value("SGLANG_DG_CACHE_DIR", $0) ?? join(root($0), "deep_gemm")) }),
        ToolLocation(
            id: "sglang-jit", title: "SGLang kernels", kind: "compile-cache", placement: .synced,
            variables: ["SGLANG_JIT_CACHE_DIR"], note: "compiled behind locks",
            // Unlike the others it does not follow SGLANG_CACHE_DIR.
            resolve: { context in
                let own = join(context.homeDirectory, ".cache", "sglang", "jit")
                return context.absolute(value("SGLANG_JIT_CACHE_DIR", context) ?? own)
            }),
        ToolLocation(
            id: "sglang-cute", title: "SGLang CuTe kernels", kind: "compile-cache", placement: .synced,
            variables: ["SGLANG_CUTE_AOT_CACHE_DIR"], parent: "sglang",
            note: "compiled objects that are loaded as code",
            resolve: { context in
                let directory = value("SGLANG_CUTE_AOT_CACHE_DIR", context) ?? join(root(context), "cute_aot")
                // Empty keeps them in the process.
                return directory.isEmpty ? nil : context.absolute(directory)
            }),
    ]

    private static func root(_ context: ResolutionContext) -> String {
        context.expandUser(value("SGLANG_CACHE_DIR", context) ?? "~/.cache/sglang")
    }

    private static func value(_ name: String, _ context: ResolutionContext) -> String? {
        context.value("SGL_" + name.dropFirst("SGLANG_".count)) ?? context.value(name)
    }
}
