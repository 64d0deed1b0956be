internal import Updraft

/// Makes RPC connections.
public enum RPCClient {
    /// Connects to an RPC server, on the calling thread's loop.
    ///
    /// ```swift
    /// let peer = try await RPCClient.connect(host: "127.0.0.1", port: 5700)
    /// defer { peer.close() }
    /// print(try await peer.call("sum", 1, 2) as Int)
    /// ```
    ///
    /// - Parameters:
    ///   - host: A numeric address or a name.
    ///   - timeout: For connecting.
    ///   - options: The connection's limits.
    ///   - methods: What the server may call on this side.
    /// - Throws: `StreamError` with `.cannotConnect`; `TimeoutError`; `CancellationError`;
    ///   what `RPCMethods.validate` throws.
    public static nonisolated(nonsending) func connect(
        host: String, port: Int, timeout: Duration = .seconds(20),
        options: RPCOptions = RPCOptions(), methods: RPCMethods = RPCMethods()
    ) async throws -> RPCPeer {
        try methods.validate()
        let stream = try await TCPClient.connect(host: host, port: port, timeout: timeout)
        return try RPCPeer(stream: stream, options: options, methods: methods)
    }
}
