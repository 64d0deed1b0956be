internal import CUpdraft

extension SocketAddress: Peer {}

extension StackSample {
    /// The other end of the connection whose descriptor was ready.
    var peerAddress: SocketAddress? { readyPeer.map { SocketAddress($0) } }
}

extension BlockedTurn {
    /// Whose connection it is: the client's in a server's handler, however it came to run;
    /// otherwise of the socket that was ready. Nil if it is no connection's turn.
    public var peerAddress: SocketAddress? {
        switch task {
        case .connection(let peer): peer as? SocketAddress
        case .given, nil: readyPeer as? SocketAddress
        }
    }
}
