/// Cargo and rustup (crate `home` 0.5, `env.rs`): an empty value does not count, a relative CARGO_HOME starts in the
/// working directory.
enum Rust {
    static let locations = [
        ToolLocation(
            id: "cargo", title: "Cargo packages and programs", kind: "other", placement: .synced,
            variables: ["CARGO_HOME"], note: "many small files behind locks",
            resolve: { $0.absolute($0.filled("CARGO_HOME") ?? join($0.homeOfRust, ".cargo")) }),
        ToolLocation(
            id: "rustup", title: "Rust toolchains", kind: "other", placement: .synced, variables: ["RUSTUP_HOME"],
            note: "many small files, cheap to download again",
            resolve: { $0.absolute($0.filled("RUSTUP_HOME") ?? join($0.homeOfRust, ".rustup")) }),
    ]
}
