internal import CUpdraft

/// Where a socket is bound or connected to: an IP address with a port, or a path.
public struct SocketAddress: Hashable, Sendable {
    private enum Storage: Hashable {
        case ipv4(UInt32, port: UInt16)
        case ipv6(UInt64, UInt64, port: UInt16, scope: UInt32)
        case unix(String)
        case unknown
    }

    private let storage: Storage

    /// A numeric IPv4 or IPv6 address. Names are resolved by `TCPClient`, not here.
    ///
    /// - Throws: `SystemError` (EINVAL) if the host is no numeric address.
    public init(host: String, port: Int) throws {
        guard let port16 = UInt16(exactly: port) else {
            throw SystemError(
                errno: cu_einval, operation: "the port \(port) is not between 0 and 65535")
        }
        var address = cu_address()
        // C would read a host up to its first zero byte.
        let result = host.utf8.contains(0) ? -cu_einval : cu_address_parse(host, port16, &address)
        try SystemError.check(result, "the address '\(host)'")
        self.init(address)
    }

    /// Whether a host is a numeric IPv4 or IPv6 address and nothing else (conformance list 3.5, 5).
    public static func isIPAddress(_ host: String) -> Bool {
        (try? SocketAddress(host: host, port: 0)) != nil
    }

    /// Bytes of the longest path, or abstract name, of a Unix socket: 107 on Linux.
    public static let unixPathBytesMax = Int(cu_unix_path_max)

    /// The address of a Unix socket.
    ///
    /// - Parameter path: At least one byte, at most `unixPathBytesMax`, none of them zero.
    public init(unixPath path: String) {
        storage = .unix(path)
    }

    /// The address of a Unix socket without a file, by a name that the machine's programs share
    /// (Linux alone). Who may connect is not checked by the system.
    ///
    /// - Parameter name: At least one byte, at most `unixPathBytesMax`. Written as `@name`.
    public init(abstractName name: String) {
        storage = .unix("\0" + name)
    }

    init(_ address: cu_address) {
        var address = address
        let ip = cu_address_ip(&address)
        switch Int(ip.kind) {
        case Int(CU_ADDRESS_IPV4):
            storage = .ipv4(UInt32(truncatingIfNeeded: ip.high >> 32), port: ip.port)
        case Int(CU_ADDRESS_IPV6):
            storage = .ipv6(ip.high, ip.low, port: ip.port, scope: ip.scope)
        case Int(CU_ADDRESS_UNIX):
            storage = .unix(SocketAddress.unixPath(of: address))
        default:
            storage = .unknown
        }
    }

    /// The port; nil for Unix sockets.
    public var port: Int? {
        switch storage {
        case .ipv4(_, let port), .ipv6(_, _, let port, _): Int(port)
        case .unix, .unknown: nil
        }
    }

    /// The numeric address, or the path of a Unix socket (empty for an unnamed one, `@name` for an
    /// abstract one).
    public var host: String {
        switch storage {
        case .unix(let path): return path.hasPrefix("\0") ? "@" + path.dropFirst() : path
        case .unknown: return "?"
        case .ipv4, .ipv6: return system.map(SocketAddress.text(of:)) ?? "?"
        }
    }

    /// Whether this is an IPv6 address.
    public var isIPv6: Bool {
        if case .ipv6 = storage { return true }
        return false
    }

    /// The path of a Unix socket that has a file.
    var filePath: String? {
        guard case .unix(let path) = storage, !path.isEmpty, !path.hasPrefix("\0") else {
            return nil
        }
        return path
    }

    /// Whether this is the address of a Unix socket.
    public var isUnix: Bool {
        if case .unix = storage { return true }
        return false
    }

    /// Whether a socket of one address would take connections that are for the other, which is not
    /// the same.
    func overlaps(_ other: SocketAddress) -> Bool {
        port == other.port && self != other && isIPv6 == other.isIPv6
            && (isAnyAddress || other.isAnyAddress)
    }

    /// Whether it stands for all addresses of the machine, of one family.
    private var isAnyAddress: Bool {
        switch storage {
        case .ipv4(let bits, _): bits == 0
        case .ipv6(let high, let low, _, _): high | low == 0
        case .unix, .unknown: false
        }
    }

    /// The bits of an IP address from the most significant one of `high` on, and how many: 32 or
    /// 128; nil for what is none.
    var bits: (count: Int, high: UInt64, low: UInt64)? {
        switch storage {
        case .ipv4(let bits, _): (32, UInt64(bits) << 32, 0)
        case .ipv6(let high, let low, _, _): (128, high, low)
        case .unix, .unknown: nil
        }
    }

    /// The same IP address with another port.
    func with(port: UInt16) -> SocketAddress {
        switch storage {
        case .ipv4(let bits, _): SocketAddress(.ipv4(bits, port: port))
        case .ipv6(let high, let low, _, let scope):
            SocketAddress(.ipv6(high, low, port: port, scope: scope))
        case .unix, .unknown: self
        }
    }

    private init(_ storage: Storage) {
        self.storage = storage
    }

    /// The system's own form; nil if there is none (an overlong path).
    var system: cu_address? {
        var address = cu_address()
        var ip = cu_ip()
        switch storage {
        case .ipv4(let bits, let port):
            ip.kind = Int32(CU_ADDRESS_IPV4)
            ip.port = port
            ip.high = UInt64(bits) << 32
        case .ipv6(let high, let low, let port, let scope):
            ip = cu_ip(
                kind: Int32(CU_ADDRESS_IPV6), port: port, scope: scope, high: high, low: low)
        case .unix(let path):
            return cu_address_unix(path, path.utf8.count, &address) == 0 ? address : nil
        case .unknown:
            return nil
        }
        cu_address_from_ip(&ip, &address)
        return address
    }

    private static func unixPath(of address: cu_address) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
            var address = address
            let length = cu_address_unix_path(&address, buffer.baseAddress, buffer.count)
            return String(
                decoding: buffer[..<length].lazy.map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
    }

    private static func text(of address: cu_address) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
            var address = address
            guard let base = buffer.baseAddress,
                cu_address_host(&address, base, buffer.count) >= 0
            else { return "?" }
            return String(cString: base)
        }
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `127.0.0.1:80`, `[::1]:80`, or the path.
    public var description: String {
        guard let port else { return host }
        return isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
