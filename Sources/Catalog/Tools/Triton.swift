/// Triton (3.5 `knobs.py`): an empty value counts, `~` is not expanded.
enum Triton {
    static let locations = [
        ToolLocation(
            id: "triton", title: "Triton kernels", kind: "compile-cache", placement: .synced,
            variables: ["TRITON_CACHE_DIR"], note: "renames and removals of open files fail on network file systems",
            resolve: { directory("TRITON_CACHE_DIR", "cache", $0) }),
        ToolLocation(
            id: "triton-dump", title: "Triton dumps", kind: "compile-cache", placement: .local,
            variables: ["TRITON_DUMP_DIR"], note: "intermediate code for debugging, cheap to lose",
            resolve: { directory("TRITON_DUMP_DIR", "dump", $0) }),
        ToolLocation(
            id: "triton-override", title: "Triton overrides", kind: "code", placement: .local,
            variables: ["TRITON_OVERRIDE_DIR"], note: "kernels that replace compiled ones while debugging",
            resolve: { directory("TRITON_OVERRIDE_DIR", "override", $0) }),
    ]

    private static func directory(_ variable: String, _ name: String, _ context: ResolutionContext) -> String {
        let home = context.value("TRITON_HOME") ?? context.homeDirectory
        return context.absolute(context.value(variable) ?? join(home, ".triton", name))
    }
}
