internal import CUpdraft

extension IOStream {
    /// Makes a stream of a socket that is connected already: one end of a `socketpair`, or one that
    /// another program has passed on (contract row J12).
    ///
    /// The stream takes the descriptor over and makes it non-blocking, and closed on exec. With an
    /// internet socket, `TCP_NODELAY` is set, as on every connection of Updraft's own.
    ///
    /// - Parameter descriptor: A stream socket. `TCPClient` connects those that are not.
    /// - Throws: `SystemError` if it is no connected socket, if it carries messages in place of a
    ///   stream, as UDP does (EPROTOTYPE), or if it can't be watched; it stays the caller's then.
    public convenience init(
        socket descriptor: Int32, loop: IOLoop, options: StreamOptions = StreamOptions()
    ) throws {
        loop.checkThread("IOStream")
        var peer = cu_address()
        try SystemError.check(
            cu_peer_address(descriptor, &peer), "the peer of descriptor \(descriptor)")
        guard cu_is_stream(descriptor) == 1 else {
            throw SystemError(
                errno: cu_eprototype,
                operation: "make a stream of descriptor \(descriptor), a socket of messages")
        }
        try SystemError.check(
            cu_adopt_descriptor(descriptor), "make descriptor \(descriptor) non-blocking")
        let address = SocketAddress(peer)
        if address.port != nil { _ = cu_set_no_delay(descriptor, true) }
        let transport = SocketTransport(descriptor: descriptor, peerAddress: address)
        try self.init(transport, loop: loop, options: options)
    }
}
