internal import CUpdraft

/// A range of addresses: a network in CIDR notation, a single address, or all Unix sockets.
///
/// ```swift
/// let inside = try AddressRange("10.0.0.0/8")
/// inside.contains(try SocketAddress(host: "10.1.2.3", port: 80))      // true
/// ```
///
/// An IPv4 address in its IPv6 form (`::ffff:10.1.2.3`) is that IPv4 address, in a range as in what
/// is looked for: IPv4 ranges contain it, and `::/0` does not. Ports and scopes don't matter.
public struct AddressRange: Hashable, Sendable {
    private enum Kind: Hashable {
        case unix
        /// The network's own address and the leading bits that all of its addresses share.
        case network(AddressBits, prefix: Int)
    }

    private let kind: Kind

    /// All Unix sockets, whatever their paths; its text is `unix`.
    public static let unix = AddressRange(kind: .unix)

    private init(kind: Kind) {
        self.kind = kind
    }

    /// Reads `10.0.0.0/8`, `2001:db8::/32`, a single address, or `unix`.
    ///
    /// - Throws: `StreamError` with `.invalidAddress`: there is no numeric address, the prefix is
    ///   not between 0 and 32 (IPv4) or 128 (IPv6), or there are bits beyond it, as in
    ///   `10.0.0.1/8`, so that it is not clear what was meant.
    public init(_ text: String) throws {
        if text == "unix" {
            self = .unix
            return
        }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = parts.first.flatMap({ AddressBits(text: String($0)) }) else {
            throw AddressRange.invalid(
                text, "give a numeric address, with a prefix as in 10.0.0.0/8 or without one")
        }
        let whole = address.count
        var prefix = whole
        if parts.count == 2 {
            guard let number = decimal(parts[1], max: whole) else {
                throw AddressRange.invalid(
                    text, "the prefix must be a number of bits between 0 and \(whole)")
            }
            prefix = number
        }
        try self.init(address, prefix: prefix, text)
    }

    private init(_ address: AddressBits, prefix: Int, _ text: String) throws {
        guard address.masked(to: prefix) == address else {
            let meant = AddressRange(kind: .network(address.masked(to: prefix), prefix: prefix))
            throw AddressRange.invalid(
                text, "the address has bits beyond the prefix; the network is \(meant)")
        }
        guard let mapped = address.embedded, prefix >= AddressBits.embeddingPrefix else {
            kind = .network(address, prefix: prefix)
            return
        }
        kind = .network(mapped, prefix: prefix - AddressBits.embeddingPrefix)
    }

    private static func invalid(_ text: String, _ reason: String) -> StreamError {
        StreamError(.invalidAddress, "'\(text)' is no range of addresses: \(reason).")
    }

    /// Whether the address lies in the range.
    public func contains(_ address: SocketAddress) -> Bool {
        guard let bits = AddressBits(address) else { return kind == .unix && address.isUnix }
        guard case .network(let network, let prefix) = kind else { return false }
        let canonical = bits.embedded ?? bits
        return canonical.count == network.count && canonical.masked(to: prefix) == network
    }
}

extension AddressRange: CustomStringConvertible {
    /// `10.0.0.0/8`, `::1/128`, or `unix`.
    public var description: String {
        switch kind {
        case .unix: "unix"
        case .network(let network, let prefix): "\(network.text)/\(prefix)"
        }
    }
}

/// The bits of an IP address, without port and scope.
private struct AddressBits: Hashable {
    /// 32 or 128.
    let count: Int
    /// From the most significant bit of `high` on; an IPv4 address has the upper half of it.
    private let high: UInt64
    private let low: UInt64

    /// `::ffff:0:0/96` has the IPv4 addresses.
    static let embeddingPrefix = 96

    private init(count: Int, high: UInt64, low: UInt64) {
        self.count = count
        self.high = high
        self.low = low
    }

    /// Nil for what is no IP address.
    init?(_ address: SocketAddress) {
        guard let bits = address.bits else { return nil }
        (count, high, low) = bits
    }

    /// Nil for what is no numeric address; a scope (`%eth0`) means nothing in a range.
    init?(text: String) {
        guard !text.utf8.contains(UInt8(ascii: "%")),
            let address = try? SocketAddress(host: text, port: 0)
        else { return nil }
        self.init(address)
    }

    /// The IPv4 address that this IPv6 address is another form of.
    var embedded: AddressBits? {
        guard count == 128, high == 0, low >> 32 == 0xFFFF else { return nil }
        return AddressBits(count: 32, high: low << 32, low: 0)
    }

    func masked(to prefix: Int) -> AddressBits {
        AddressBits(
            count: count, high: high & ~(UInt64.max >> min(prefix, 64)),
            low: low & ~(UInt64.max >> max(0, prefix - 64)))
    }

    var text: String {
        let bytes = [high, low].flatMap { half in
            stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: half >> $0) }
        }
        return SocketAddress(addressBytes: bytes.prefix(count / 8), port: 0).host
    }
}

extension SocketAddress {
    /// An IP address from its bytes in network order.
    ///
    /// - Parameter bytes: 4 for IPv4, 16 for IPv6.
    init(addressBytes bytes: some Collection<UInt8>, port: UInt16) {
        var ip = cu_ip()
        ip.kind = Int32(bytes.count == 4 ? CU_ADDRESS_IPV4 : CU_ADDRESS_IPV6)
        ip.port = port
        for (index, byte) in bytes.enumerated() {
            let place = UInt64(byte) << UInt64(56 - index % 8 * 8)
            if index < 8 { ip.high |= place } else { ip.low |= place }
        }
        var address = cu_address()
        cu_address_from_ip(&ip, &address)
        self.init(address)
    }
}

/// A decimal number without a sign and without leading zeros; nil for anything else.
func decimal(_ text: Substring, max: Int) -> Int? {
    let digits = text.utf8
    guard 1...5 ~= digits.count, digits.allSatisfy({ 0x30...0x39 ~= $0 }),
        digits.count == 1 || digits.first != 0x30, let number = Int(text), number <= max
    else { return nil }
    return number
}
