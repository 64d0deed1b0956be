// Unsafe: the session belongs to the engine's thread, and goes with the engine. Pointers to what is
// to be sent are used within one call.

internal import CUpdraftTLS

/// One end of a TLS connection without any I/O: bytes from the peer go in, bytes for the peer and
/// plain text come out. It can be driven by hand, however the bytes are cut.
///
/// It belongs to one thread.
final class TLSEngine {
    /// What came of a step.
    enum Step {
        /// All that was asked for.
        case done
        /// More must come from the peer first.
        case wantsInput
        /// Some of what is to be sent must be sent first.
        case wantsRoom
        /// The peer has ended its direction, properly.
        case ended
        /// It is over. What is to be sent may hold the reason for the peer.
        case failed(TLSError)
    }

    /// Where a client keeps the tickets that come.
    var ticketKey: String?

    private let session: OpaquePointer
    private let context: ContextHandle
    private let host: String?

    init(_ context: ContextHandle, host: String? = nil) throws {
        guard let session = ctls_session_new(context.pointer) else {
            throw TLSError(.invalidConfiguration, "There is no memory for a TLS session.")
        }
        self.session = session
        self.context = context
        self.host = host
    }

    deinit {
        ctls_session_free(session)
    }

    // MARK: Before the handshake of a client

    /// Whom to ask for, and whether to check that it is them.
    func expect(_ host: HostName?, checked: Bool) throws {
        guard let host else { return }
        let isSet = withOptionalCString(host.isAddress ? nil : host.text) { ask in
            withOptionalCString(checked ? host.text : nil) { check in
                ctls_session_set_host(session, ask, check, host.isAddress)
            }
        }
        if !isSet { throw TLSError(.invalidConfiguration, "'\(host.text)' is no host name.") }
    }

    func resume(_ ticket: Ticket) {
        // If it can't be used, the handshake is a full one.
        _ = ctls_session_resume(session, ticket.pointer)
    }

    // MARK: Steps

    /// Goes on with the handshake.
    ///
    /// - Parameter input: What came from the peer; it is taken in full.
    func handshake(_ input: UnsafeRawBufferPointer) -> Step {
        step(ctls_session_handshake(session, input.baseAddress, input.count))
    }

    /// Decrypts until the buffer is full (`done`) or something else is to be said.
    ///
    /// - Parameter input: What came from the peer; it is taken in full.
    /// - Returns: Bytes decrypted, whatever the step.
    func read(
        _ input: UnsafeRawBufferPointer, into plain: UnsafeMutableRawBufferPointer
    ) -> (step: Step, count: Int) {
        var filled = 0
        let status = ctls_session_read(
            session, input.baseAddress, input.count, plain.baseAddress, plain.count, &filled)
        return (step(status), filled)
    }

    /// Keeps what came from the peer for the next step, whichever that is.
    func keep(_ input: UnsafeRawBufferPointer) {
        _ = read(input, into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
    }

    /// Whether `read` may have something to say without new input.
    var hasUnread: Bool { ctls_session_has_unread(session) }

    /// Encrypts one record at the most: 16 KiB.
    ///
    /// - Returns: Bytes taken. After `wantsRoom` the same bytes must be offered again; `wantsInput`
    ///   is for the rest of a message of TLS itself.
    func write(_ plain: UnsafeRawBufferPointer) -> (step: Step, count: Int) {
        var taken = 0
        let status = ctls_session_write(session, plain.baseAddress, plain.count, &taken)
        return (step(status), taken)
    }

    /// Ends this side's direction: close_notify is to be sent.
    ///
    /// - Returns: False if that has to wait for input, as after `wantsInput` of `write`.
    func end() -> Bool {
        ctls_session_end(session)
    }

    /// Whether bytes are to be sent to the peer.
    var hasOutput: Bool { outputCount > 0 }

    /// Bytes to be sent; 64 KiB and a record or a flight of the handshake at the most.
    var outputCount: Int {
        var count = 0
        _ = ctls_session_output(session, &count)
        return count
    }

    /// Lends what is to be sent.
    ///
    /// - Parameter send: Returns how many bytes of it were sent.
    func withOutput(_ send: (UnsafeRawBufferPointer) throws -> Int) rethrows {
        var count = 0
        let bytes = ctls_session_output(session, &count)
        guard count > 0 else { return }
        ctls_session_sent(session, try send(UnsafeRawBufferPointer(start: bytes, count: count)))
    }

    /// A ticket that has come since the last call.
    func takeTicket() -> Ticket? {
        ctls_session_take_ticket(session).map(Ticket.init)
    }

    // MARK: What was agreed

    /// Known after the handshake; a peer's certificate is not taken apart anew for each question.
    private(set) lazy var info = agreement

    private var agreement: TLSInfo {
        var count = 0
        let name = ctls_session_protocol(session, &count)
        let applicationProtocol = UnsafeRawBufferPointer(start: name, count: count)
        return TLSInfo(
            version: TLSVersion(rawValue: Int(ctls_session_version(session))) ?? .tls12,
            cipherSuite: String(cString: ctls_session_cipher(session)),
            applicationProtocol: name == nil
                ? nil : String(decoding: applicationProtocol, as: UTF8.self),
            serverName: ctls_session_server_name(session).map { String(cString: $0) },
            isResumed: ctls_session_is_resumed(session),
            peerCertificate: peerCertificate)
    }

    private var peerCertificate: TLSCertificate? {
        guard let certificate = ctls_session_peer_certificate(session) else { return nil }
        defer { ctls_certificate_free(certificate) }
        return TLSCertificate(certificate)
    }

    private func step(_ status: ctls_status) -> Step {
        switch status {
        case CTLS_DONE: .done
        case CTLS_WANT_INPUT: .wantsInput
        case CTLS_WANT_ROOM: .wantsRoom
        case CTLS_ENDED: .ended
        default: .failed(TLSError(ctls_session_error(session).pointee, host: host))
        }
    }
}
