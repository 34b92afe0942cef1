/// Stops the process, which libFuzzer reports with the input, when something that must hold does not.
func require(_ condition: Bool, _ what: @autoclosure () -> String) {
    if !condition { fatalError(what()) }
}

/// An input in two parts, cut at its first NUL.
func halves(_ input: [UInt8]) -> (first: [UInt8], second: [UInt8]) {
    let middle = input.firstIndex(of: 0) ?? input.count
    return (Array(input[..<middle]), Array(input[min(middle + 1, input.count)...]))
}

/// The lines of an input, without their newlines.
func lines(_ input: [UInt8]) -> [[UInt8]] {
    input.split(separator: 0x0a, omittingEmptySubsequences: false).map(Array.init)
}
