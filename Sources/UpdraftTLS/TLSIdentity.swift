/// Who this side is: a certificate with its chain, and the private key that belongs to it.
public struct TLSIdentity: Sendable {
    /// The certificate first, then those of its issuers up to, and mostly without, the root.
    public var certificate: PEMSource

    /// The private key, encrypted or not. It may be in the same file as the certificate.
    public var privateKey: PEMSource

    /// What the key is encrypted with; nobody is ever asked for it on a terminal.
    public var password: String?

    /// Whether a certificate that has expired, or is not valid yet, is used all the same. A server
    /// with one is of use only to clients that don't check.
    public var acceptsExpired = false

    /// An identity; it is read and checked when a context is made of it.
    public init(certificate: PEMSource, privateKey: PEMSource, password: String? = nil) {
        self.certificate = certificate
        self.privateKey = privateKey
        self.password = password
    }
}

/// Whose certificates are accepted.
public enum TLSTrust: Sendable {
    /// Those that the system's store vouches for (OpenSSL's default places; the environment's
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name others). On a system without any, as in a small
    /// container, a context can't be made: `.invalidConfiguration`.
    case system

    /// These, and those that they vouch for; nobody else's. A self-signed certificate, or one in
    /// the middle of a chain, can be named.
    case certificates(PEMSource)

    /// Everybody's. **The connection is encrypted, but nobody knows with whom**: whoever is on the
    /// way can read and change everything. For tests.
    case insecureNoVerification
}

/// Whether a server asks its clients for certificates.
public enum TLSClientCertificates: Sendable {
    /// It does not.
    case notAsked
    /// It asks. A client may have none; one that it gives must be trusted.
    case optional(TLSTrust)
    /// Without a trusted one there is no connection.
    case required(TLSTrust)
}

/// Versions of TLS; earlier ones are broken and not offered.
public enum TLSVersion: Int, Sendable, Comparable, CustomStringConvertible {
    /// TLS 1.2 (RFC 5246).
    case tls12 = 12
    /// TLS 1.3 (RFC 8446).
    case tls13 = 13

    /// By age.
    public static func < (left: TLSVersion, right: TLSVersion) -> Bool {
        left.rawValue < right.rawValue
    }

    /// As in `TLS 1.3`.
    public var description: String { self == .tls13 ? "TLS 1.3" : "TLS 1.2" }
}

/// What is offered for encryption: OpenSSL's lists, separated by colons, the preferred first.
public struct TLSCiphers: Sendable {
    /// Cipher suites of TLS 1.2. Only those with forward secrecy and authenticated encryption.
    public var tls12 =
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
        + "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
        + "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

    /// Cipher suites of TLS 1.3.
    public var tls13 =
        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

    /// Groups for the key exchange.
    public var groups = "X25519:P-256:P-384"

    /// The defaults.
    public init() {}
}
