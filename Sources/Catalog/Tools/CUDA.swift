/// The CUDA driver's cache of compiled PTX (CUDA Programming Guide, environment variables).
enum CUDA {
    static let locations = [
        ToolLocation(
            id: "cuda-kernels", title: "CUDA kernels", kind: "compile-cache", placement: .synced,
            variables: ["CUDA_CACHE_PATH"], note: "keyed by driver, memory-mapped and cheap to lose",
            resolve: { context in
                if context.value("CUDA_CACHE_DISABLE") == "1" { return nil }
                return context.absolute(
                    context.filled("CUDA_CACHE_PATH") ?? join(context.homeDirectory, ".nv", "ComputeCache"))
            })
    ]
}
