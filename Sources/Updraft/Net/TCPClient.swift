internal import CUpdraft

/// Makes TCP connections.
public enum TCPClient {
    /// Connects to a host and returns the stream.
    ///
    /// A host name is resolved on a thread of the loop's blocking pool; its addresses are tried in
    /// the resolver's order until one answers.
    ///
    /// ```swift
    /// let stream = try await TCPClient.connect(host: "127.0.0.1", port: 7000)
    /// defer { stream.close() }
    /// ```
    ///
    /// - Parameters:
    ///   - host: A numeric address or a name.
    ///   - timeout: For the whole attempt.
    /// - Throws: `StreamError` with `.cannotConnect`, whose cause is the last address's error;
    ///   `TimeoutError`; `CancellationError`.
    public static nonisolated(nonsending) func connect(
        host: String, port: Int, timeout: Duration = .seconds(20),
        options: StreamOptions = StreamOptions()
    ) async throws -> IOStream {
        let loop = IOLoop.current
        return try await withTimeout(timeout) {
            try await connect(to: try await resolve(host, port, loop), host, port, loop, options)
        }
    }

    private static nonisolated(nonsending) func connect(
        to addresses: [SocketAddress], _ host: String, _ port: Int, _ loop: IOLoop,
        _ options: StreamOptions
    ) async throws -> IOStream {
        var lastError: SystemError?
        for address in addresses {
            do {
                return try await connect(to: address, loop, options)
            } catch let error as SystemError {
                lastError = error
            }
        }
        throw StreamError(
            .cannotConnect, "No connection to \(host):\(port) could be made.", cause: lastError)
    }

    private static nonisolated(nonsending) func connect(
        to address: SocketAddress, _ loop: IOLoop, _ options: StreamOptions
    ) async throws -> IOStream {
        let attempt = try Attempt(address)
        do {
            if attempt.isPending { try await loop.writable(attempt.socket) }
            return try attempt.finish(loop, options)
        } catch {
            attempt.abandon()
            throw error
        }
    }

    /// A socket on its way to be connected. Its steps are apart from the waiting between them,
    /// because the optimising compiler of Swift 6.3.1 crashes on them as one `async` function.
    private struct Attempt {
        let address: SocketAddress
        let socket: Int32
        let isPending: Bool

        init(_ address: SocketAddress) throws {
            guard var system = address.system else {
                throw SystemError(errno: cu_einval, operation: "the address \(address)")
            }
            self.address = address
            socket = try SystemError.check(cu_socket_stream(&system), "socket")
            let result = cu_connect(socket, &system)
            isPending = result == -cu_einprogress
            if result < 0, !isPending {
                _ = cu_close(socket)
                throw SystemError(errno: result, operation: "connect to \(address)")
            }
        }

        func finish(_ loop: IOLoop, _ options: StreamOptions) throws -> IOStream {
            try SystemError.check(-cu_socket_error(socket), "connect to \(address)")
            if address.port != nil { _ = cu_set_no_delay(socket, true) }
            let transport = SocketTransport(descriptor: socket, peerAddress: address)
            return try IOStream(transport, loop: loop, options: options)
        }

        func abandon() {
            _ = cu_close(socket)
        }
    }

    private static nonisolated(nonsending) func resolve(
        _ host: String, _ port: Int, _ loop: IOLoop
    ) async throws -> [SocketAddress] {
        if let numeric = try? SocketAddress(host: host, port: port) { return [numeric] }
        guard let port16 = UInt16(exactly: port) else {
            throw StreamError(.cannotConnect, "The port \(port) is not between 0 and 65535.")
        }
        return try await loop.runInExecutor { try lookUp(host, port16) }
    }

    /// Blocks; addresses at most `addressesMax`.
    @Sendable
    private static func lookUp(_ host: String, _ port: UInt16) throws -> [SocketAddress] {
        var found = [cu_address](repeating: cu_address(), count: addressesMax)
        let count = cu_resolve(host, port, &found, Int32(addressesMax))
        if count < 0 {
            let reason = String(cString: cu_resolve_error(count))
            throw StreamError(.cannotConnect, "The name '\(host)' can't be resolved: \(reason).")
        }
        return found[..<Int(count)].map(SocketAddress.init)
    }

    private static let addressesMax = 16
}
