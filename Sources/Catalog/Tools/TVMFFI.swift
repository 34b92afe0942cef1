/// tvm-ffi (0.1.15 `cpp/extension.py`): an empty value counts, `~` is not expanded.
enum TVMFFI {
    static let locations = [
        ToolLocation(
            id: "tvm-ffi", title: "TVM extensions", kind: "compile-cache", placement: .synced,
            variables: ["TVM_FFI_CACHE_DIR"], note: "locked on one node and linked in place: stale handles over NFS",
            resolve: { $0.absolute($0.value("TVM_FFI_CACHE_DIR") ?? $0.expandUser("~/.cache/tvm-ffi")) })
    ]
}
