/// What a server does when it begins and when it has ended; see `TCPServer.onStart`.
public typealias ServerHook = nonisolated(nonsending) () async throws -> Void

/// The hooks of a server's connections.
final class ConnectionHooks {
    private let onConnect: (IOStream) throws -> Void
    private let onClose: (IOStream, (any Error)?) -> Void
    /// Those that `onConnect` was called with.
    private var connected: Set<ObjectIdentifier> = []

    init(
        onConnect: ((IOStream) throws -> Void)?,
        onClose: ((IOStream, (any Error)?) -> Void)?
    ) {
        self.onConnect = onConnect ?? { _ in }
        self.onClose = onClose ?? { _, _ in }
    }

    /// A connection is ready for its handler.
    func begin(_ stream: IOStream) throws {
        connected.insert(ObjectIdentifier(stream))
        try onConnect(stream)
    }

    /// A connection is closed.
    ///
    /// - Parameter error: What its handler threw.
    func end(_ stream: IOStream, _ error: (any Error)?) {
        guard connected.remove(ObjectIdentifier(stream)) != nil else { return }
        let reason = stream.closeReason.flatMap { $0.cause == nil ? nil : $0 }
        onClose(stream, error ?? reason)
    }
}
