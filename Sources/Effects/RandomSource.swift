import Glibc

/// Where random bytes come from, injected so that a simulated run is repeatable.
public protocol RandomSource: Sendable {
    /// `count` random bytes.
    func bytes(_ count: Int) -> [UInt8]
}

/// The kernel's random numbers (getrandom(2), through Swift's system generator).
public struct SystemRandomSource: RandomSource {
    /// Makes the kernel's random numbers available.
    public init() {}

    /// `count` random bytes.
    public func bytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}
