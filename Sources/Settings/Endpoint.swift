import Glibc

/// A base URL that the agent may send to: `http` or `https`, a host, perhaps a port and a path.
///
/// Link-local addresses are refused in every spelling that getaddrinfo(3) takes: behind 169.254.169.254 and its like are
/// the credentials of the node, and whatever is posted there could be made to come back. So are credentials inside the URL,
/// because a URL is logged and shown.
public struct Endpoint: Sendable, Equatable {
    /// Why a URL is refused; the text continues "the value ...".
    public struct Refusal: Error, Sendable, Equatable {
        /// The reason.
        public let reason: String
    }

    /// The URL without a slash at its end.
    public let url: String
    /// The host, without the brackets of an IPv6 address.
    public let host: String

    /// Reads a URL.
    ///
    /// - Throws: ``Refusal`` that says what is wrong with it.
    public init(_ text: String) throws(Refusal) {
        guard let scheme = ["http://", "https://"].first(where: { text.hasPrefix($0) }) else {
            throw Refusal(reason: "must begin with http:// or https://")
        }
        guard text.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "\\") }) else {
            throw Refusal(reason: "must not hold blanks, backslashes or control characters")
        }
        guard !text.contains("?"), !text.contains("#") else {
            throw Refusal(reason: "must not have a query or a fragment")
        }
        let rest = text.dropFirst(scheme.count)
        let authority = rest.prefix { $0 != "/" }
        guard !authority.contains("@") else {
            throw Refusal(reason: "must not hold credentials: they go into a file of their own")
        }
        guard let host = Self.host(authority) else {
            throw Refusal(reason: "must name a host, such as https://collector.example:4318")
        }
        guard !Self.isLinkLocal(host) else {
            throw Refusal(reason: "must not be a link-local address: the node's own services are there")
        }
        self.host = host
        var url = text
        while url.hasSuffix("/") { url.removeLast() }
        self.url = url
    }

    private static func host(_ authority: Substring) -> String? {
        var host = authority
        if let colon = authority.lastIndex(of: ":"), authority.last != "]" {
            let port = authority[authority.index(after: colon)...]
            guard let number = Int(port), (1...65535).contains(number) else { return nil }
            host = authority[..<colon]
        }
        if host.first == "[", host.last == "]" {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        return host.isEmpty ? nil : String(host)
    }

    /// Whether a literal address is in 169.254.0.0/16 or fe80::/10, or is the metadata service of AWS over IPv6.
    static func isLinkLocal(_ host: String) -> Bool {
        var four = in_addr()
        // Takes 2852039166, 0xa9fea9fe and 169.254.43518 too, as the resolver does.
        if inet_aton(host, &four) != 0 { return UInt32(bigEndian: four.s_addr) >> 16 == 0xA9FE }
        var six = in6_addr()
        guard inet_pton(AF_INET6, String(host.prefix { $0 != "%" }), &six) == 1 else { return false }
        return withUnsafeBytes(of: &six) { bytes in
            let isMapped = bytes.prefix(10).allSatisfy { $0 == 0 } && (bytes[10] == 0xFF && bytes[11] == 0xFF)
            if isMapped { return bytes[12] == 169 && bytes[13] == 254 }
            if bytes[0] == 0xFE, bytes[1] & 0xC0 == 0x80 { return true }
            return Array(bytes) == [0xFD, 0, 0x0E, 0xC2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54]
        }
    }
}
