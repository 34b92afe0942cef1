/// Caches of compiled kernels: many small files behind locks and atomic renames that network file systems break.
enum CompileCaches {
    static let locations = [
        // triton `knobs.py`: the test is "is None", so an empty value counts.
        ToolLocation(
            id: "triton", title: "Triton kernels", kind: "compile-cache", placement: .synced,
            variables: ["TRITON_CACHE_DIR"],
            note: "renames and removals of open files fail on network file systems",
            resolve: { context in
                context.absolute(
                    context.value("TRITON_CACHE_DIR")
                        ?? join(context.value("TRITON_HOME") ?? context.homeDirectory, ".triton", "cache"))
            }),
        // torch/_inductor/runtime/cache_dir_utils.py: in the temporary directory, by user.
        ToolLocation(
            id: "torch-inductor", title: "TorchInductor", kind: "compile-cache", placement: .synced,
            variables: ["TORCHINDUCTOR_CACHE_DIR"],
            note: "many small files behind locks: slow and fragile on network file systems",
            resolve: { context in
                context.absolute(
                    context.value("TORCHINDUCTOR_CACHE_DIR")
                        ?? join(temporaryDirectory(context), "torchinductor_" + userName(context)))
            }),
        // vllm/envs.py.
        ToolLocation(
            id: "vllm", title: "vLLM", kind: "compile-cache", placement: .synced, variables: ["VLLM_CACHE_ROOT"],
            note: "compiled graphs: shared writes have corrupted them",
            resolve: { context in
                let cache = context.value("XDG_CACHE_HOME") ?? join(context.homeDirectory, ".cache")
                return context.absolute(context.expandUser(context.value("VLLM_CACHE_ROOT") ?? join(cache, "vllm")))
            }),
        // flashinfer/jit/env.py.
        ToolLocation(
            id: "flashinfer", title: "FlashInfer kernels", kind: "compile-cache", placement: .synced,
            variables: ["FLASHINFER_WORKSPACE_BASE"],
            note:
                "the build log keeps nanosecond times, which network file systems round: everything would be built again",
            resolve: { context in
                context.absolute(
                    join(context.value("FLASHINFER_WORKSPACE_BASE") ?? context.homeDirectory, ".cache", "flashinfer"))
            }),
    ]

    /// Python's `tempfile.gettempdir()`: the first of TMPDIR, TEMP, TMP, /tmp, /var/tmp, /usr/tmp that can be written.
    private static func temporaryDirectory(_ context: ResolutionContext) -> String {
        let named = ["TMPDIR", "TEMP", "TMP"].compactMap { context.filled($0) }.map(context.absolute)
        return (named + ["/tmp", "/var/tmp", "/usr/tmp"]).first { context.isWritableDirectory($0) } ?? "/tmp"
    }

    /// Python's `getpass.getuser()`: a variable before the password database.
    private static func userName(_ context: ResolutionContext) -> String {
        ["LOGNAME", "USER", "LNAME", "USERNAME"].lazy.compactMap { context.filled($0) }.first ?? context.userName
    }
}
