/// FlashInfer (0.7 `jit/env.py`): an empty base counts, an empty cubin directory does not.
enum FlashInfer {
    static let locations = [
        ToolLocation(
            id: "flashinfer", title: "FlashInfer kernels", kind: "compile-cache", placement: .synced,
            variables: ["FLASHINFER_WORKSPACE_BASE"],
            note:
                "the build log keeps nanosecond times, which network file systems round: everything would be built again",
            resolve: { $0.absolute(cache($0)) }),
        ToolLocation(
            id: "flashinfer-cubins", title: "FlashInfer binaries", kind: "compile-cache", placement: .synced,
            variables: ["FLASHINFER_CUBIN_DIR"], parent: "flashinfer", note: "many small files that are locked",
            // A package with the binaries, where it is installed, takes the place of the default.
            resolve: { $0.absolute($0.filled("FLASHINFER_CUBIN_DIR") ?? join(cache($0), "cubins")) }),
    ]

    private static func cache(_ context: ResolutionContext) -> String {
        join(context.value("FLASHINFER_WORKSPACE_BASE") ?? context.homeDirectory, ".cache", "flashinfer")
    }
}
