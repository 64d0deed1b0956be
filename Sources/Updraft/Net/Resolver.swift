internal import CUpdraft

/// Kinds of addresses that a name may stand for.
public enum AddressFamily: Sendable, Hashable {
    /// Whatever there is.
    case any
    /// IPv4 alone.
    case ipv4
    /// IPv6 alone.
    case ipv6

    var number: Int32 {
        switch self {
        case .any: Int32(CU_ADDRESS_OTHER)
        case .ipv4: Int32(CU_ADDRESS_IPV4)
        case .ipv6: Int32(CU_ADDRESS_IPV6)
        }
    }

    func includes(_ address: SocketAddress) -> Bool {
        switch self {
        case .any: true
        case .ipv4: !address.isIPv6
        case .ipv6: address.isIPv6
        }
    }
}

/// Turns host names into addresses, for `TCPClient`.
///
/// A resolver belongs to one loop and is called on its thread. Contract rows K10 and 3.5.
public protocol Resolver: AnyObject {
    /// The addresses of a host, in the order in which they are to be tried; at least one.
    ///
    /// - Parameters:
    ///   - host: A name, or a numeric address, which is its own answer.
    ///   - port: 0 to 65535; part of each address.
    /// - Throws: `StreamError` with `.cannotResolve`, whose `cause` says what the system said (see
    ///   `ResolverError`), or is nil for what can't be a host or a port; `CancellationError`;
    ///   `TimeoutError`.
    nonisolated(nonsending) func resolve(
        _ host: String, port: Int, family: AddressFamily
    ) async throws -> [SocketAddress]
}

/// Asks the system (`getaddrinfo`) on the loop's own thread, which stands still meanwhile: for
/// programs that connect before they serve. `SystemResolver` does not block.
public final class BlockingResolver: Resolver {
    /// A resolver for any loop.
    public init() {}

    /// See `Resolver`. Blocks the loop.
    public nonisolated(nonsending) func resolve(
        _ host: String, port: Int, family: AddressFamily
    ) async throws -> [SocketAddress] {
        try NameLookUp(host, port: port, family: family).answer()
    }
}

/// Answers for chosen hosts by itself and asks another resolver for the rest: for tests, and for
/// what other programs keep in `/etc/hosts`.
///
/// ```swift
/// let resolver = OverrideResolver(over: SystemResolver(loop), ["api.example": "127.0.0.1"])
/// ```
public final class OverrideResolver: Resolver {
    private let base: any Resolver
    private let hosts: [String: String]

    /// - Parameters:
    ///   - base: Asked with what the table gives, or with the host itself.
    ///   - hosts: What to look up instead of a host. A key is a host, `host:port`, or either with
    ///     `ipv4/` or `ipv6/` in front for look-ups of that family; the most precise key wins. A
    ///     value is a name or a numeric address, or one of these with `:port` behind (a numeric
    ///     IPv6 address in brackets then).
    public init(over base: any Resolver, _ hosts: [String: String]) {
        self.base = base
        self.hosts = hosts
    }

    /// See `Resolver`.
    public nonisolated(nonsending) func resolve(
        _ host: String, port: Int, family: AddressFamily
    ) async throws -> [SocketAddress] {
        guard let target = target(host, port, family) else {
            return try await base.resolve(host, port: port, family: family)
        }
        let place = OverrideResolver.split(target, port)
        return try await base.resolve(place.host, port: place.port, family: family)
    }

    private func target(_ host: String, _ port: Int, _ family: AddressFamily) -> String? {
        let prefix =
            switch family {
            case .any: ""
            case .ipv4: "ipv4/"
            case .ipv6: "ipv6/"
            }
        return hosts["\(prefix)\(host):\(port)"] ?? hosts["\(prefix)\(host)"]
            ?? hosts["\(host):\(port)"] ?? hosts[host]
    }

    /// `name:80`, `[::1]:80`, or a host alone, which may be a bare IPv6 address.
    private static func split(_ target: String, _ port: Int) -> (host: String, port: Int) {
        if SocketAddress.isIPAddress(target) { return (target, port) }
        guard let colon = target.lastIndex(of: ":"),
            let ownPort = Int(target[target.index(after: colon)...])
        else { return (target, port) }
        let host = target[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            return (String(host.dropFirst().dropLast()), ownPort)
        }
        return (String(host), ownPort)
    }
}

/// One question to the system's resolver. It blocks, on whatever thread asks.
struct NameLookUp: Hashable, Sendable {
    /// Addresses of one host at the most; further ones are left out.
    private static let addressesMax = 16

    let host: String
    private let port: UInt16
    private let family: AddressFamily

    /// - Throws: `StreamError` for what can't be a host or a port.
    init(_ host: String, port: Int, family: AddressFamily) throws {
        guard let port16 = UInt16(exactly: port) else {
            throw StreamError(.cannotResolve, "The port \(port) is not between 0 and 65535.")
        }
        if host.isEmpty || host.utf8.contains(0) {
            throw StreamError(.cannotResolve, "A host needs a name without zero bytes.")
        }
        self.host = host
        self.port = port16
        self.family = family
    }

    /// The answer to a numeric address; nil for names.
    func numeric() throws -> [SocketAddress]? {
        guard let address = try? SocketAddress(host: host, port: Int(port)) else { return nil }
        guard family.includes(address) else {
            throw StreamError(.cannotResolve, "\(host) is not of the family that was asked for.")
        }
        return [address]
    }

    func answer() throws -> [SocketAddress] {
        let most = NameLookUp.addressesMax
        var found = [cu_address](repeating: cu_address(), count: most)
        var reason = cu_resolve_failure()
        let count = cu_resolve(host, port, family.number, &found, Int32(most), &reason)
        if count < 0 { throw failure(ResolverError.cause(reason)) }
        if count == 0 {
            throw StreamError(.cannotResolve, "The name '\(host)' has no address.")
        }
        return found[..<Int(count)].map(SocketAddress.init)
    }

    func failure(_ cause: any Error) -> StreamError {
        StreamError(.cannotResolve, "The name '\(host)' can't be resolved.", cause: cause)
    }
}
