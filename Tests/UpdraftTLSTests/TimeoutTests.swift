import TestSupport
import Testing
import Updraft
import UpdraftTesting

@testable import UpdraftTLS

/// A server's time-outs over TLS, in virtual time.
@Suite struct TimeoutTests {
    private nonisolated(nonsending) func withServer(
        on loop: IOLoop, _ body: nonisolated(nonsending) (TCPServer) async throws -> Void
    ) async throws {
        var options = TCPServer.Options()
        options.idleTimeout = .seconds(3)
        let server = TCPServer(port: 0, options: options)
        server.useTLS(try serverContext())
        try server.listen { stream in
            for try await chunk in stream.chunks { try await stream.write(chunk) }
        }
        try await body(server)
        server.stop()
    }

    @Test func anIdleConnectionEndsAsTLSEndsThem() async throws {
        try await withVirtualLoop { loop in
            try await withServer(on: loop) { server in
                // By number: names are looked up on a thread, for which virtual time does not wait.
                let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                try await stream.startTLS(client: clientContext(), host: "localhost")
                // What keeps it open are the bytes beneath TLS.
                for _ in 0..<3 {
                    try await stream.write("x")
                    #expect(try await stream.read(exactly: 1) == [120])
                    try await loop.sleep(for: .seconds(2))
                }
                let start = loop.now
                // An end with close_notify: not cut off.
                #expect(try await stream.readToEnd() == [])
                #expect(start.duration(to: loop.now) == .seconds(1))
                #expect(server.counts.timedOut == 1)
                stream.close()
            }
        }
    }

    @Test func aClientThatNeverShakesHandsIsIdle() async throws {
        try await withVirtualLoop { loop in
            try await withServer(on: loop) { server in
                let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                let start = loop.now
                _ = await failure { try await stream.readToEnd() }
                #expect(start.duration(to: loop.now) == .seconds(3))
                try await loop.waitUntilIdle()
                #expect(server.counts.timedOut == 1 && server.connectionCount == 0)
                stream.close()
            }
        }
    }
}
