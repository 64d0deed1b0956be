internal import CUpdraftTLS
internal import Updraft

/// How a client speaks TLS.
public struct TLSClientOptions: Sendable {
    /// Whose certificates are accepted from servers.
    public var trust = TLSTrust.system

    /// Whether the server's certificate must be for the host that was asked for. Off, any host with
    /// a trusted certificate can pass for any other.
    public var verifiesHostName = true

    /// What this client shows to servers that ask who it is.
    public var identity: TLSIdentity?

    /// Protocols above TLS that are offered, as in `["h2", "http/1.1"]` (ALPN). What the server
    /// chose is in `IOStream.tls`.
    public var applicationProtocols: [String] = []

    /// The oldest version that is spoken.
    public var minimumVersion = TLSVersion.tls12

    /// The newest version that is spoken.
    public var maximumVersion = TLSVersion.tls13

    /// What is offered for encryption.
    public var ciphers = TLSCiphers()

    /// How long the handshake may take.
    public var handshakeTimeout = Duration.seconds(10)

    /// Whether tickets of servers are kept, to come back without a full handshake.
    public var resumesSessions = true

    /// The defaults: the system's trust, names checked.
    public init() {}
}

/// A client's settings, read and checked: one for any number of connections, loops and threads.
/// Connections of one context resume each other's sessions, so keep it.
///
/// ```swift
/// let tls = try TLSClientContext()
/// let stream = try await TCPClient.connect(host: "example.org", port: 443, tls: tls)
/// ```
public final class TLSClientContext: Sendable {
    /// The options.
    public let options: TLSClientOptions

    let tickets = TicketCache()
    private let handle: ContextHandle

    /// Reads the certificates, and checks everything. It reads files, the system's store among
    /// them (some milliseconds): make it once, before the loop runs or in `loop.runInExecutor`.
    ///
    /// - Throws: `TLSError`; see `TLSServerContext.init(_:)`.
    public init(_ options: TLSClientOptions = TLSClientOptions()) throws {
        self.options = options
        handle = try ContextHandle(isServer: false)
        try handle.setVersions(options.minimumVersion, options.maximumVersion)
        try handle.setCiphers(options.ciphers)
        try handle.setProtocols(options.applicationProtocols)
        handle.setResumption(options.resumesSessions)
        try handle.setTrust(options.trust, CTLS_VERIFY_REQUIRED)
        if let identity = options.identity { try handle.add(identity) }
    }

    /// A context that trusts as said, with the defaults otherwise.
    ///
    /// - Throws: As `init(_:)`.
    public convenience init(trust: TLSTrust) throws {
        var options = TLSClientOptions()
        options.trust = trust
        try self.init(options)
    }

    /// Whether servers have to prove their name.
    var verifiesHostName: Bool {
        if case .insecureNoVerification = options.trust { return false }
        return options.verifiesHostName
    }

    /// - Parameters:
    ///   - host: Whom the server should be: a name or a numeric address.
    ///   - place: Tells servers of one name apart, for resumption.
    func makeEngine(host: String?, place: String) throws -> TLSEngine {
        let name = try host.map(HostName.init)
        guard name != nil || !verifiesHostName else {
            throw TLSError(
                .invalidConfiguration,
                "A client needs the host's name, to check that the server is that host.")
        }
        let engine = try TLSEngine(handle, host: host)
        try engine.expect(name, checked: verifiesHostName)
        if options.resumesSessions, let name {
            let key = "\(name.text) \(place)"
            engine.ticketKey = key
            if let ticket = tickets.take(key) { engine.resume(ticket) }
        }
        return engine
    }
}

/// A host's name or address, in the form in which TLS wants it.
struct HostName {
    let text: String
    let isAddress: Bool

    init(_ host: String) throws {
        // A zone, as in fe80::1%eth0, is this machine's own affair.
        let address = host.prefix { $0 != "%" }
        if (try? SocketAddress(host: String(address), port: 0)) != nil {
            text = String(address)
            isAddress = true
            return
        }
        // The dot at the end of a full name is no part of it in TLS (RFC 6066, 3).
        let name = host.hasSuffix(".") ? String(host.dropLast()) : host
        // To OpenSSL, a dot in front makes any host of that domain the right one.
        let isPossible = name.utf8.split(
            separator: UInt8(ascii: "."), omittingEmptySubsequences: false
        )
        .allSatisfy { !$0.isEmpty && $0.allSatisfy(HostName.isPossible) }
        guard isPossible, name.utf8.count <= 253 else {
            throw TLSError(
                .invalidConfiguration,
                "'\(host)' is no host name: letters, digits and hyphens, with single dots in "
                    + "between, 253 at the most (other scripts in their xn-- form).")
        }
        text = name.lowercased()
        isAddress = false
    }

    private static func isPossible(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }
}
