// Unsafe: copies what OpenSSL hands out and frees it in the same call.

internal import CUpdraftTLS

/// What a certificate says. Values only: it outlives its connection.
public struct TLSCertificate: Sendable, Hashable, CustomStringConvertible {
    /// The certificate itself (X.509, DER).
    public let der: [UInt8]

    /// Whose it is, as in `CN=ann,O=Example` (RFC 2253).
    public let subject: String

    /// Who vouches for it.
    public let issuer: String

    /// The number that the issuer gave it, in hexadecimal.
    public let serialNumber: String

    /// Host names that it is for (subject alternative names); may begin with `*.`. Of names and
    /// addresses together no more than the first 1,000.
    public let dnsNames: [String]

    /// Addresses that it is for, numeric.
    public let ipAddresses: [String]

    /// When it becomes valid, in seconds since 1970 (UTC).
    public let notBefore: Int64

    /// When it expires, in seconds since 1970 (UTC).
    public let notAfter: Int64

    /// Whose it is and who vouches for it, in a line.
    public var description: String { "certificate of \(subject), issued by \(issuer)" }

    init(_ certificate: OpaquePointer) {
        var count = 0
        let bytes = ctls_certificate_der(certificate, &count)
        der = [UInt8](UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count))
        ctls_free(bytes)
        subject = TLSCertificate.text(ctls_certificate_subject(certificate))
        issuer = TLSCertificate.text(ctls_certificate_issuer(certificate))
        serialNumber = TLSCertificate.text(ctls_certificate_serial(certificate))
        notBefore = ctls_certificate_begin(certificate)
        notAfter = ctls_certificate_end(certificate)
        let names = TLSCertificate.names(certificate)
        dnsNames = names.filter { $0.kind == CTLS_NAME_DNS }.map(\.text)
        ipAddresses = names.filter { $0.kind == CTLS_NAME_IP }.map(\.text)
    }

    private static func text(_ owned: UnsafeMutablePointer<CChar>?) -> String {
        guard let owned else { return "" }
        defer { ctls_free(owned) }
        return String(cString: owned)
    }

    private static func names(_ certificate: OpaquePointer) -> [(kind: ctls_name, text: String)] {
        let all = ctls_certificate_names(certificate)
        defer { ctls_names_free(all) }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let text = buffer.baseAddress else { return [] }
            var names: [(kind: ctls_name, text: String)] = []
            for index in 0..<namesMax {
                let kind = ctls_names_at(all, Int32(index), text, buffer.count)
                if kind == CTLS_NAME_NONE { break }
                if kind != CTLS_NAME_OTHER { names.append((kind, String(cString: text))) }
            }
            return names
        }
    }

    /// A peer's certificate may list thousands, and pays nothing for them.
    private static let namesMax = 1_000
}

/// What the two ends of a TLS connection have agreed on.
public struct TLSInfo: Sendable, CustomStringConvertible {
    /// The version.
    public let version: TLSVersion

    /// The cipher suite's registered name, as in `TLS_AES_128_GCM_SHA256`.
    public let cipherSuite: String

    /// The application protocol, as in `h2` (ALPN); nil if none was agreed.
    public let applicationProtocol: String?

    /// The host name that the client asked for (SNI); nil if it asked for none.
    public let serverName: String?

    /// Whether an earlier connection's keys were taken up, so that certificates were not exchanged
    /// anew.
    public let isResumed: Bool

    /// The peer's certificate; nil if it gave none, as most clients.
    public let peerCertificate: TLSCertificate?

    /// Version, cipher, application protocol, and the peer's certificate if it gave one, in a line.
    public var description: String {
        let parts = [
            "\(version)", cipherSuite, applicationProtocol, isResumed ? "resumed" : nil,
            peerCertificate?.description,
        ]
        return parts.compactMap(\.self).joined(separator: ", ")
    }
}
