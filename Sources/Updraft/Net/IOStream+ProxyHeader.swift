extension IOStream {
    /// Reads the PROXY header that a connection begins with, for servers that accept by other means
    /// than `TCPServer`, which does it by itself for the peers of its options.
    ///
    /// Only the header's own bytes are taken from the transport: what follows is there for the next
    /// read, or for a TLS handshake.
    ///
    /// - Parameter bytesMax: The length of the longest header that is taken.
    /// - Throws: `StreamError` with `.invalidProxyHeader`, after which the stream is of no use:
    ///   close it; otherwise as `read(into:)`, and the bytes that came stay for the next read, or
    ///   for another call of this.
    public nonisolated(nonsending) func readProxyHeader(
        bytesMax: Int = 4_096
    ) async throws -> ProxyProtocol.Header {
        var bytes: [UInt8] = []
        while true {
            switch try ProxyProtocol.parse(bytes, bytesMax: bytesMax) {
            case .incomplete(let missing):
                var piece = [UInt8](repeating: 0, count: missing)
                // What came is judged at once, so that a wrong peer need not be waited for.
                do {
                    let count = try await read(into: &piece, partial: true)
                    bytes += piece[..<count]
                } catch {
                    if !bytes.isEmpty { readBuffer.putBack(bytes[...]) }
                    throw error
                }
            case .complete(let header, _):
                return header
            }
        }
    }
}

/// A class, because few streams have it: it is a pointer in all of them.
final class Proxied {
    let header: ProxyProtocol.Header

    init(_ header: ProxyProtocol.Header) {
        self.header = header
    }
}

// Behind a server that trusts its proxies.
extension IOStream {
    /// The proxy that the connection came through, if it is one of those that the server trusts
    /// (`ProxyProtocol`): `peerAddress` is its client then.
    public var proxyAddress: SocketAddress? {
        guard let socket, socket.proxied != nil else { return nil }
        return socket.peerAddress
    }

    /// What the proxy said about the connection; nil as `proxyAddress` is.
    public var proxyHeader: ProxyProtocol.Header? { socket?.proxied?.header }

    /// Takes the header of a connection that was just accepted, if it has to begin with one.
    ///
    /// - Throws: `StreamError`: there is none, or a wrong one, or it takes too long.
    nonisolated(nonsending) func takeProxyHeader(_ proxy: ProxyProtocol) async throws {
        guard let socket, let peer = socket.peerAddress, proxy.trusts(peer) else { return }
        do {
            let header = try await withTimeout(proxy.headerTimeout) {
                try await readProxyHeader(bytesMax: proxy.headerBytesMax)
            }
            socket.proxied = Proxied(header)
            nameRunningTask()
        } catch is TimeoutError {
            throw StreamError(
                .invalidProxyHeader,
                "The connection's PROXY header did not come within \(proxy.headerTimeout).")
        }
    }
}
