/// DeepEP (`csrc/jit/compiler.hpp`).
enum DeepEP {
    static let locations = [
        ToolLocation(
            id: "deep-ep", title: "DeepEP kernels", kind: "compile-cache", placement: .synced,
            variables: ["EP_JIT_CACHE_DIR"], note: "compiled with renames that network file systems break",
            resolve: { $0.absolute($0.filled("EP_JIT_CACHE_DIR") ?? join($0.value("HOME") ?? "", ".deep_ep")) })
    ]
}
