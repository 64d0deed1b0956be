internal import CUpdraftTLS
internal import Synchronization

/// How a server speaks TLS.
public struct TLSServerOptions: Sendable {
    /// Certificates with their keys, at least one. A client that asks for a host name gets one that
    /// is for it, exactly or by a wildcard; every other client gets the first. There may be several
    /// for one name, with different kinds of keys.
    public var identities: [TLSIdentity]

    /// Whether clients have to show who they are.
    public var clientCertificates = TLSClientCertificates.notAsked

    /// Protocols above TLS, as in `["h2", "http/1.1"]` (ALPN); the first that a client offers too
    /// is taken. A client that offers others only is refused; one that offers none is not.
    public var applicationProtocols: [String] = []

    /// The oldest version that is spoken.
    public var minimumVersion = TLSVersion.tls12

    /// The newest version that is spoken.
    public var maximumVersion = TLSVersion.tls13

    /// What is offered for encryption; the server's order wins.
    public var ciphers = TLSCiphers()

    /// How long a client may take for the handshake.
    public var handshakeTimeout = Duration.seconds(10)

    /// Whether clients get tickets, with which they come back without a full handshake. The keys of
    /// the tickets are those of the context: `reload` makes new ones.
    public var resumesSessions = true

    /// Options with the defaults.
    public init(identities: [TLSIdentity]) {
        self.identities = identities
    }
}

/// A server's certificates and settings, read and checked: one for any number of servers, loops
/// and threads.
///
/// ```swift
/// let tls = try TLSServerContext(
///     certificate: .file("server.pem"), privateKey: .file("server.key"))
/// try await TCPServer(port: 7443).serve(tls: tls) { stream in … }
/// ```
public final class TLSServerContext: Sendable {
    private struct State {
        var options: TLSServerOptions
        var handle: ContextHandle
    }

    private let state: Mutex<State>
    private let reloading = Mutex(())

    /// Reads the certificates and keys, and checks everything. It reads files: make it before the
    /// loop runs, or in `loop.runInExecutor`.
    ///
    /// - Throws: `TLSError`, which names the file: it is missing, holds no certificate or key, the
    ///   two don't belong together, the key needs a password, the certificate has expired; or
    ///   `.invalidConfiguration` for a setting.
    public init(_ options: TLSServerOptions) throws {
        state = Mutex(
            State(options: options, handle: try TLSServerContext.makeHandle(options)))
    }

    /// A context with one certificate and the defaults.
    ///
    /// - Parameters:
    ///   - certificate: The certificate first, then those of its issuers.
    ///   - privateKey: The key, which may be in the same file.
    /// - Throws: As `init(_:)`.
    public convenience init(certificate: PEMSource, privateKey: PEMSource) throws {
        try self.init(
            TLSServerOptions(
                identities: [TLSIdentity(certificate: certificate, privateKey: privateKey)]))
    }

    /// The options as they are now.
    public var options: TLSServerOptions { state.withLock { $0.options } }

    /// The server's certificates, in the order of `options.identities`: for logs, and for an alarm
    /// before they expire.
    public var certificates: [TLSCertificate] { current.certificates }

    /// Reads the files again: connections that begin from now on get what is in them now; open ones
    /// go on. From any thread, best one that is not a loop's, because it reads files. If anything
    /// is wrong, everything stays as it was.
    ///
    /// ```swift
    /// try await loop.runInExecutor { try tls.reload() }
    /// ```
    ///
    /// - Parameter options: Other options to use from now on; nil for the same.
    /// - Throws: As `init(_:)`.
    public func reload(_ options: TLSServerOptions? = nil) throws {
        // One after the other: what was read last is what holds.
        try reloading.withLock { _ in
            let options = options ?? self.options
            let handle = try TLSServerContext.makeHandle(options)
            state.withLock { $0 = State(options: options, handle: handle) }
        }
    }

    var current: ContextHandle { state.withLock { $0.handle } }

    func makeEngine() throws -> TLSEngine {
        try TLSEngine(current)
    }

    private static func makeHandle(_ options: TLSServerOptions) throws -> ContextHandle {
        guard !options.identities.isEmpty else {
            throw TLSError(.invalidConfiguration, "A server needs a certificate.")
        }
        let handle = try ContextHandle(isServer: true)
        try handle.setVersions(options.minimumVersion, options.maximumVersion)
        try handle.setCiphers(options.ciphers)
        try handle.setProtocols(options.applicationProtocols)
        handle.setResumption(options.resumesSessions)
        switch options.clientCertificates {
        case .notAsked: break
        case .optional(let trust): try setTrust(trust, CTLS_VERIFY_IF_GIVEN, handle)
        case .required(let trust): try setTrust(trust, CTLS_VERIFY_REQUIRED, handle)
        }
        for identity in options.identities { try handle.add(identity) }
        return handle
    }

    private static func setTrust(
        _ trust: TLSTrust, _ verify: ctls_verify, _ handle: ContextHandle
    ) throws {
        if case .insecureNoVerification = trust {
            throw TLSError(
                .invalidConfiguration,
                "Certificates of clients that are asked for must be verified: give their issuers.")
        }
        try handle.setTrust(trust, verify, hints: true)
    }
}
