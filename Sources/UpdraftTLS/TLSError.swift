internal import CUpdraftTLS

/// What went wrong with TLS: with a configuration, or on a connection.
///
/// Configurations throw it as it is. On a connection it is the `cause` of the `StreamError` that
/// every read, write and wait of the closed stream throws; `StreamError.tls` finds it there.
public struct TLSError: Error, Sendable, CustomStringConvertible {
    /// Kinds of TLS errors.
    public enum Code: Sendable {
        /// A certificate's or key's file can't be opened.
        case unreadableFile
        /// There is no certificate where one should be, or a broken one.
        case invalidCertificate
        /// There is no private key where one should be, or a broken one.
        case invalidKey
        /// The private key belongs to another certificate.
        case keyMismatch
        /// The private key is encrypted, and no password was given.
        case passwordNeeded
        /// The private key's password is another.
        case wrongPassword
        /// This side's own certificate has expired, or is not valid yet.
        case certificateExpired
        /// A setting is not possible: an unknown cipher, a weak key, a name that is too long.
        case invalidConfiguration

        /// A task reads from the stream, or waits for its bytes to be sent, so that it can't be
        /// upgraded.
        case streamBusy
        /// The peer sent bytes ahead of the handshake that it could not have sent after it: what an
        /// attacker does who wants them taken for encrypted ones.
        case earlyInput
        /// The stream has no TLS.
        case notEncrypted
        /// Another task waits for the handshake already.
        case handshakeAwaited

        /// The handshake did not end in time.
        case handshakeTimedOut
        /// The connection ended or failed during the handshake.
        case handshakeFailed
        /// The peer's certificate is not to be trusted: unknown issuer, expired, or none at all.
        case peerNotVerified
        /// The peer's certificate is for another host name or address.
        case peerNameMismatch
        /// The peer has refused to go on; `message` has its reason.
        case alertReceived
        /// What the peer sent is not TLS, or is broken.
        case protocolError
        /// The connection ended without the end of TLS (close_notify): bytes may be missing.
        case truncated
    }

    /// What kind of error it is.
    public let code: Code

    /// What was wrong, in a sentence, with the file's or the host's name.
    public let message: String

    /// The error beneath, such as a `SystemError`, if there is one.
    public let cause: (any Error)?

    init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// The sentence, and the cause if there is one.
    public var description: String {
        cause.map { "\(message) (\($0))" } ?? message
    }
}

extension TLSError {
    /// What a session says of its failure.
    init(_ error: ctls_error, host: String?) {
        let text = error.reason
        let peer = host.map { "of '\($0)'" } ?? "of the peer"
        switch error.problem {
        case CTLS_PEER_UNVERIFIED:
            self.init(.peerNotVerified, "The certificate \(peer) is not trusted: \(text).")
        case CTLS_PEER_NAME_WRONG:
            self.init(.peerNameMismatch, "The certificate \(peer) is for another host: \(text).")
        case CTLS_PEER_WITHOUT_CERTIFICATE:
            self.init(.peerNotVerified, "The peer gave no certificate, and one is required.")
        case CTLS_ALERT_RECEIVED:
            self.init(
                .alertReceived, "The peer refused: \(text) (TLS alert \(error.alert)).")
        default:
            self.init(
                .protocolError,
                "The peer's TLS can't be followed: \(text). It may not speak TLS at all.")
        }
    }
}

extension ctls_error {
    /// OpenSSL's own text.
    var reason: String {
        withUnsafeBytes(of: text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
