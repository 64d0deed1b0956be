import TestSupport
import Testing
import Updraft
import UpdraftTesting

@testable import UpdraftTLS

/// A proxy's header comes before the TLS handshake that it relays.
@Suite struct ProxyProtocolTests {
    private nonisolated(nonsending) func withServer(
        _ body: nonisolated(nonsending) (TCPServer) async throws -> Void
    ) async throws {
        var options = TCPServer.Options()
        options.proxyProtocol = ProxyProtocol(peers: [try AddressRange("127.0.0.0/8")])
        let server = TCPServer(port: 0, options: options)
        server.useTLS(try serverContext())
        try server.listen { stream in
            let line = try await stream.read(until: "\n")
            let peer = stream.peerAddress.map { "\($0)" } ?? "nobody"
            let proxy = stream.proxyAddress?.host ?? "nobody"
            try await stream.write("\(peer) by \(proxy): \(line.text)")
        }
        try await body(server)
        server.stop()
    }

    @Test func theHandshakeFollowsTheHeader() async throws {
        try await withLoop { loop in
            try await withServer { server in
                let stream = try await TCPClient.connect(host: "localhost", port: server.port)
                defer { stream.close() }
                try await stream.write("PROXY TCP4 198.51.100.7 192.0.2.1 50000 443\r\n")
                try await stream.startTLS(client: clientContext(), host: "localhost")
                try await stream.write("hello\n")
                let answer = try await stream.readToEnd()
                #expect(answer.text == "198.51.100.7:50000 by 127.0.0.1: hello\n")
            }
        }
    }

    /// The header's reader must not take the first bytes of the handshake from the transport.
    @Test func theHandshakeMayComeInThePacketOfTheHeader() async throws {
        try await withLoop { loop in
            try await withServer { server in
                let front = TCPServer(port: 0)
                let header = "PROXY TCP6 2001:db8::7 ::1 50000 443\r\n".bytes
                // Relays, with the header in front of the first bytes.
                try front.listen { client in
                    let first = try await client.read(upTo: 65_536)
                    let back = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                    defer { back.close() }
                    try await back.write(header + first)
                    try await loop.group { group in
                        group.spawn {
                            for try await chunk in client.chunks { try await back.write(chunk) }
                        }
                        for try await chunk in back.chunks { try await client.write(chunk) }
                        client.endWriting()
                    }
                }
                let stream = try await TCPClient.connect(
                    host: "localhost", port: front.port, tls: clientContext())
                try await stream.write("hello\n")
                let answer = try await stream.readToEnd()
                #expect(answer.text == "[2001:db8::7]:50000 by 127.0.0.1: hello\n")
                stream.close()
                front.stop()
            }
        }
    }

    @Test func aHandshakeWithoutAHeaderIsRefused() async throws {
        try await withLoop { loop in
            try await withServer { server in
                let error = await failure {
                    try await TCPClient.connect(
                        host: "localhost", port: server.port, tls: clientContext())
                }
                #expect(error is StreamError)
            }
        }
    }
}
