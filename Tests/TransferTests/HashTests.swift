import Testing

@testable import Transfer

@Suite("content hash")
struct HashTests {
    @Test(
        "is XXH64, as python-xxhash computes it",
        arguments: [
            ("", 0xef46_db37_51d8_e999), ("a", 0xd24e_c4f1_a98c_6e5b), ("abc", 0x44bc_2cf5_ad77_0999),
        ] as [(String, UInt64)])
    func vectors(text: String, expected: UInt64) {
        #expect(Array(text.utf8).withUnsafeBytes { ContentHash.of($0) } == expected)
    }
}
