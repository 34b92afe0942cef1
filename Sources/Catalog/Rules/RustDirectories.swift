/// The directories that programs written in Rust (crates `home`, `dirs`, `etcetera`) and Go use: HOME unless it is empty,
/// else the password database; variables of the XDG specification only when they are absolute.
extension ResolutionContext {
    /// `std::env::home_dir`.
    var homeOfRust: String { filled("HOME") ?? home }
    /// `dirs::cache_dir`.
    var cacheOfRust: String { absoluteOnly("XDG_CACHE_HOME") ?? join(homeOfRust, ".cache") }
    /// `dirs::config_dir`.
    var configOfRust: String { absoluteOnly("XDG_CONFIG_HOME") ?? join(homeOfRust, ".config") }
    /// `dirs::data_dir`.
    var dataOfRust: String { absoluteOnly("XDG_DATA_HOME") ?? join(homeOfRust, ".local", "share") }
}
