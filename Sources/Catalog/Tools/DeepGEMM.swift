/// DeepGEMM (`csrc/jit/compiler.hpp`).
enum DeepGEMM {
    static let locations = [
        ToolLocation(
            id: "deep-gemm", title: "DeepGEMM kernels", kind: "compile-cache", placement: .synced,
            variables: ["DG_JIT_CACHE_DIR"], note: "compiled with renames that network file systems break",
            resolve: { $0.absolute($0.filled("DG_JIT_CACHE_DIR") ?? join($0.value("HOME") ?? "", ".deep_gemm")) })
    ]
}
