/// One message of UDP.
public struct Datagram: Sendable {
    /// What was sent; may be empty.
    public let bytes: [UInt8]

    /// Who sent it: anyone may claim to be anyone.
    public let sender: SocketAddress

    /// Whether it was longer than the socket's `receiveMax`, and its end is lost.
    public let isTruncated: Bool
}

/// A message of UDP to be sent.
public struct OutgoingDatagram: Sendable {
    /// At most 65,507 over IPv4; more than about 1,400 is cut into packets on the way, and lost if
    /// one of them is.
    public let bytes: [UInt8]

    /// Of the socket's family; nil for the peer that it is connected to.
    public let address: SocketAddress?

    /// One to an address, or to the peer.
    public init(_ bytes: [UInt8], to address: SocketAddress? = nil) {
        self.bytes = bytes
        self.address = address
    }
}

/// The datagrams of a socket as they come, until the socket is closed.
public struct Datagrams: AsyncSequence {
    let socket: UDPSocket

    /// Receives for one `for` loop.
    public struct Iterator: AsyncIteratorProtocol {
        let socket: UDPSocket

        /// The next datagram, or nil when this side has closed the socket.
        ///
        /// - Throws: As `UDPSocket.receive`.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws -> Datagram? {
            try await socket.nextDatagram()
        }
    }

    /// Called by `for`.
    public func makeAsyncIterator() -> Iterator {
        Iterator(socket: socket)
    }
}
