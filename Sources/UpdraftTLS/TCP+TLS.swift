public import Updraft

extension TCPServer {
    /// Makes every connection a TLS connection: the handshake is the first thing in each one's
    /// task, so that a slow client holds up nobody else. Call it before serving.
    ///
    /// Handshakes that fail are logged at `debug`, refused certificates at `info`.
    public func useTLS(_ context: TLSServerContext) {
        let next = prepareStream
        prepareStream = { stream in
            try await stream.startTLS(server: context)
            try await next?(stream)
        }
    }

    /// Serves TLS connections with `handler`, which gets them after the handshake; otherwise as
    /// `serve(_:)`.
    ///
    /// - Throws: As `serve(_:)`.
    public nonisolated(nonsending) func serve(
        tls context: TLSServerContext, _ handler: @escaping StreamHandler
    ) async throws {
        useTLS(context)
        try await serve(handler)
    }
}

extension TCPClient {
    /// Connects to a host with TLS; the certificate must be the host's. Otherwise as `connect`.
    ///
    /// - Parameter timeout: For the name, the connection and the handshake together.
    /// - Throws: As `connect`; `StreamError` if the handshake fails, whose `tls` says why.
    public static nonisolated(nonsending) func connect(
        host: String, port: Int, tls context: TLSClientContext, timeout: Duration = .seconds(20),
        options: Options = Options(), resolver: (any Resolver)? = nil
    ) async throws -> IOStream {
        try await withTimeout(timeout) {
            let stream = try await connect(
                host: host, port: port, timeout: timeout, options: options, resolver: resolver)
            do {
                try await stream.startTLS(client: context, host: host)
            } catch {
                stream.abort()
                throw error
            }
            return stream
        }
    }
}
