// Unsafe: builds the system's list of pieces from pointers that are valid during the call.

internal import CUpdraft

/// A connected (or connecting) stream socket: TCP or Unix.
final class SocketTransport: DetachableTransport {
    private let socket: Int32
    let peerAddress: SocketAddress?
    /// What the peer, a proxy, said about its client.
    var proxied: Proxied?
    var onReady: ((IOEvents) -> Void)?
    /// Notes when bytes come and go, where somebody wants to know.
    var transfers: TransferTime?

    var descriptor: Int32? { socket }

    /// A read of a Unix socket stops where the peer has passed a descriptor. TCP tells when it is
    /// about to stop short, at urgent data.
    var readsMayStopShort: Bool { peerAddress?.port == nil }

    /// Takes over the descriptor, which must be non-blocking.
    init(descriptor: Int32, peerAddress: SocketAddress?) {
        socket = descriptor
        self.peerAddress = peerAddress
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> TransportRead {
        let count = cu_recv(socket, buffer.baseAddress, buffer.count)
        if count > 0 {
            transfers?.note()
            return .bytes(count)
        }
        if count == 0 { return .endOfStream }
        if Int32(count) == -cu_eagain { return .wouldBlock }
        throw SystemError(errno: Int32(count), operation: "recv")
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws -> Int {
        try accepted(cu_send(socket, bytes.baseAddress, bytes.count))
    }

    func write(_ pieces: [UnsafeRawBufferPointer]) throws -> Int {
        let result = withUnsafeTemporaryAllocation(of: iovec.self, capacity: pieces.count) { list in
            for (index, piece) in pieces.enumerated() {
                list[index] = iovec(
                    iov_base: UnsafeMutableRawPointer(mutating: piece.baseAddress),
                    iov_len: piece.count)
            }
            return cu_sendv(socket, list.baseAddress, Int32(pieces.count))
        }
        return try accepted(result)
    }

    func sendFile(_ file: Int32, offset: Int64, count: Int) throws -> Int? {
        let result = cu_send_file(socket, file, offset, count)
        // A file system without sendfile(2): the slower way works with all of them.
        if Int32(clamping: result) == -cu_enosys || Int32(clamping: result) == -cu_einval {
            return nil
        }
        if result == 0 {
            throw StreamError(.fileTooShort, "A file became shorter while it was sent.")
        }
        return try accepted(result)
    }

    private func accepted(_ result: Int) throws -> Int {
        if result >= 0 {
            transfers?.note()
            return result
        }
        if Int32(result) == -cu_eagain { return 0 }
        throw SystemError(errno: Int32(result), operation: "send")
    }

    func shutdownWrite() {
        _ = cu_shutdown_write(socket)
    }

    func takePendingError() -> SystemError? {
        let error = cu_socket_error(socket)
        return error == 0 ? nil : SystemError(errno: error, operation: "connection")
    }

    func close() {
        _ = cu_close(socket)
    }

    func detach() -> Int32? { socket }

    func abort() {
        _ = cu_set_linger_reset(socket)
        _ = cu_close(socket)
    }
}

extension IOStream {
    /// Whom the stream is connected to, if a socket carries it, be it beneath TLS. Behind a proxy
    /// that a server trusts (`ProxyProtocol`) it is the client, if the proxy told who that is.
    public var peerAddress: SocketAddress? {
        guard let socket else { return nil }
        return socket.proxied?.header.source ?? socket.peerAddress
    }

    /// The socket beneath all layers.
    var socket: SocketTransport? {
        var transport = transport
        while let upper = transport as? any LayeredTransport { transport = upper.base }
        return transport as? SocketTransport
    }
}
