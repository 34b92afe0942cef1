import Glibc

/// Where a control plane or receiver may be: `http://HOST[:PORT][/PATH]`, or the same with https.
///
/// The agent sends its token there, so an address says where it goes and nothing else: no user name or password, and no
/// link-local address, which on clouds is the metadata service with the node's credentials (RFC 3927, RFC 4291 section 2.5.6).
public struct WebAddress: Sendable, Equatable {
    /// The host without brackets.
    public let host: String
    /// Whether TLS protects the way.
    public let isEncrypted: Bool

    /// Why a text is no address; the sentence continues "control_plane.url ...".
    public struct Refusal: Error, Sendable, Equatable {
        /// What must be different.
        public let reason: String
    }

    /// Reads an address.
    ///
    /// - Throws: ``Refusal``.
    public init(_ text: String) throws(Refusal) {
        let scheme = ["http://", "https://"].first { text.hasPrefix($0) }
        guard let scheme else { throw Refusal(reason: "must begin with http:// or https://") }
        isEncrypted = scheme == "https://"
        guard text.utf8.allSatisfy({ 0x21...0x7e ~= $0 && $0 != 0x5c }) else {
            throw Refusal(reason: "must not hold spaces, backslashes or characters beyond ASCII")
        }
        guard !text.contains("?"), !text.contains("#") else {
            throw Refusal(reason: "must not have a query or a fragment")
        }
        let authority = text.dropFirst(scheme.count).prefix { $0 != "/" }
        guard !authority.contains("@") else {
            throw Refusal(reason: "must not hold a user name or password; credentials go into files of their own")
        }
        guard let host = Self.host(authority) else {
            throw Refusal(reason: "must name a host, and a port from 1 to 65535 if any")
        }
        self.host = host
        if Self.isLinkLocal(host) {
            throw Refusal(reason: "must not be a link-local address, where clouds keep the node's credentials")
        }
    }

    /// Whether it is this machine by its number or as `localhost`.
    public var isLoopback: Bool {
        if let address = Self.version4(host) { return address >> 24 == 127 }
        return host.lowercased() == "localhost"
            || Self.version6(host).map { $0.dropLast().allSatisfy { $0 == 0 } && $0.last == 1 } == true
    }

    private static func host(_ authority: Substring) -> String? {
        var host = authority
        if let colon = authority.lastIndex(of: ":"), authority.last != "]" {
            guard let port = Int(authority[authority.index(after: colon)...]), (1...65535).contains(port) else {
                return nil
            }
            host = authority[..<colon]
        }
        if host.first == "[", host.last == "]" {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        return host.isEmpty ? nil : String(host)
    }

    private static func isLinkLocal(_ host: String) -> Bool {
        if let address = version4(host) { return address >> 16 == 0xa9fe }
        guard let bytes = version6(host) else { return false }
        if bytes[0] == 0xfe, bytes[1] & 0xc0 == 0x80 { return true }
        // fd00:ec2::254, where one large cloud has its metadata service in version 6.
        if bytes == [0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54] { return true }
        // ::ffff:169.254.0.0/112, the same in version 6.
        return bytes.prefix(10).allSatisfy { $0 == 0 } && bytes[10...13].elementsEqual([0xff, 0xff, 0xa9, 0xfe])
    }

    /// Every spelling that the system's resolver takes: `169.254.1`, `0xa9fe0001`, `2851995649` (inet_aton(3)).
    private static func version4(_ host: String) -> UInt32? {
        var address = in_addr()
        return inet_aton(host, &address) == 1 ? UInt32(bigEndian: address.s_addr) : nil
    }

    private static func version6(_ host: String) -> [UInt8]? {
        var address = in6_addr()
        // A zone (`fe80::1%eth0`) is not part of the address.
        guard inet_pton(AF_INET6, String(host.prefix { $0 != "%" }), &address) == 1 else { return nil }
        return withUnsafeBytes(of: &address) { Array($0) }
    }
}
