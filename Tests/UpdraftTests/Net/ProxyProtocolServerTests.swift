import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Servers behind proxies: `TCPServer.Options.proxyProtocol`.
@Suite struct ProxyProtocolServerTests {
    /// What a handler saw of its connection.
    private struct Seen {
        var peer: String?
        var proxy: String?
        var header: ProxyProtocol.Header?
        var bytes: [UInt8] = []
    }

    private final class Guests {
        var seen: [Seen] = []
    }

    private func server(
        _ guests: Guests, _ proxyProtocol: ProxyProtocol, logger: LogLines? = nil
    ) throws -> TCPServer {
        var options = TCPServer.Options()
        options.proxyProtocol = proxyProtocol
        let server = TCPServer(port: 0, options: options)
        if let logger { server.logger = logger.logger }
        try server.listen { stream in
            var seen = Seen(
                peer: stream.peerAddress.map { "\($0)" },
                proxy: stream.proxyAddress.map { "\($0)" }, header: stream.proxyHeader)
            seen.bytes = try await stream.readToEnd()
            guests.seen.append(seen)
            try await stream.write("served")
        }
        return server
    }

    private func trusting(_ ranges: String...) throws -> ProxyProtocol {
        ProxyProtocol(peers: try ranges.map { try AddressRange($0) })
    }

    private nonisolated(nonsending) func answer(
        _ server: TCPServer, _ bytes: [UInt8], from source: String = "127.0.0.1"
    ) async throws -> String {
        var options = TCPClient.Options()
        options.source = try SocketAddress(host: source, port: 0)
        let stream = try await TCPClient.connect(
            host: "127.0.0.1", port: server.port, options: options)
        defer { stream.close() }
        try await stream.write(bytes)
        stream.endWriting()
        return String(decoding: try await stream.readToEnd(), as: UTF8.self)
    }

    @Test func aTrustedProxysClientIsThePeer() async throws {
        try await withLoop { loop in
            let guests = Guests()
            let server = try server(guests, trusting("10.0.0.0/8", "127.0.0.0/8"))
            for (header, client) in ProxyHeaders.all {
                #expect(try await answer(server, header + "data".bytes) == "served")
                let last = guests.seen.popLast()
                let seen = try #require(last)
                #expect(seen.peer == client ?? seen.proxy)
                #expect(seen.proxy?.hasPrefix("127.0.0.1:") == true)
                #expect(seen.header?.source?.description == client)
                #expect(seen.bytes == "data".bytes)
            }
        }
    }

    @Test func aHeaderFromElsewhereIsData() async throws {
        try await withLoop { loop in
            let guests = Guests()
            let server = try server(guests, trusting("10.0.0.0/8", "127.0.0.1", "::/0", "unix"))
            for (header, _) in ProxyHeaders.all {
                let bytes = header + "data".bytes
                #expect(try await answer(server, bytes, from: "127.0.0.2") == "served")
                let last = guests.seen.popLast()
                let seen = try #require(last)
                #expect(seen.peer?.hasPrefix("127.0.0.2:") == true)
                #expect(seen.proxy == nil && seen.header == nil)
                #expect(seen.bytes == header + "data".bytes)
            }
        }
    }

    @Test(arguments: [
        "", "data", "PROXY TCP4 1.2.3.4", "PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\ndata",
        "\r\n\r\n\0",
    ])
    func aTrustedProxyWithoutAHeaderIsNotServed(text: String) async throws {
        try await withLoop { loop in
            let guests = Guests()
            let lines = LogLines()
            let server = try server(guests, trusting("127.0.0.1"), logger: lines)
            #expect(try await answer(server, text.bytes) == "")
            try await loop.turns(until: { server.connectionCount == 0 })
            #expect(guests.seen.isEmpty)
            let line = "debug: a connection from 127.0.0.1:"
            #expect(!lines.with(line, "ended with an error").isEmpty)
            // The others live on.
            #expect(try await answer(server, "PROXY UNKNOWN\r\n".bytes) == "served")
        }
    }

    @Test func theHeaderHasTimeUntilItsTimeout() async throws {
        try await withLoop { loop in
            let guests = Guests()
            let lines = LogLines()
            var proxy = try trusting("127.0.0.1")
            proxy.headerTimeout = .milliseconds(50)
            let server = try server(guests, proxy, logger: lines)
            let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            defer { stream.close() }
            try await stream.write("PROXY TCP4 1.2.3.4 ")
            #expect(try await stream.readToEnd() == [])
            #expect(guests.seen.isEmpty)
            try await loop.turns(until: { server.connectionCount == 0 })
            #expect(lines.all.contains { $0.contains("did not come within 0.05 seconds") })
        }
    }

    @Test func aClientThatIsSlowAfterItsHeaderIsNotTimedOut() async throws {
        try await withLoop { loop in
            let guests = Guests()
            var proxy = try trusting("127.0.0.1")
            proxy.headerTimeout = .milliseconds(200)
            let server = try server(guests, proxy)
            let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            defer { stream.close() }
            try await stream.write("PROXY UNKNOWN\r\n")
            try await loop.sleep(for: .milliseconds(300))
            try await stream.write("late")
            stream.endWriting()
            #expect(try await stream.readToEnd() == "served".bytes)
            #expect(guests.seen.first?.bytes == "late".bytes)
        }
    }

    @Test func anIdleTimeoutEndsAConnectionWhoseHeaderIsPending() async throws {
        try await withVirtualLoop { loop in
            var options = TCPServer.Options()
            options.proxyProtocol = try trusting("127.0.0.1")
            options.proxyProtocol?.headerTimeout = .seconds(60)
            options.idleTimeout = .seconds(30)
            let lines = LogLines()
            let server = TCPServer(port: 0, options: options)
            server.logger = lines.logger
            var isServed = false
            try server.listen { _ in isServed = true }
            for part in ["", "PROXY TCP4 198.51.100.7 "] {
                let start = loop.now
                let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                if !part.isEmpty { try await stream.write(part) }
                #expect(try await stream.readToEnd() == [])
                #expect(start.duration(to: loop.now) == .seconds(30))
                stream.close()
            }
            try await loop.turns(until: { server.connectionCount == 0 })
            #expect(!isServed)
            #expect(server.counts.timedOut == 2)
            #expect(lines.with("Nothing came or went on the connection").count == 2)
        }
    }

    @Test func theLongestHeaderIsALimitOfTheServers() async throws {
        try await withLoop { loop in
            let guests = Guests()
            var proxy = try trusting("127.0.0.1")
            let header = ProxyHeaders.binary(
                ProxyHeaders.ipv4 + ProxyHeaders.value(0xE0, ProxyHeaders.zeros(100)))
            for (limit, served) in [(header.count, "served"), (header.count - 1, "")] {
                proxy.headerBytesMax = limit
                let server = try server(guests, proxy)
                #expect(try await answer(server, header) == served)
            }
            #expect(guests.seen.count == 1)
            #expect(guests.seen.first?.header?.value(0xE0)?.count == 100)
        }
    }

    @Test func theHeaderComesBeforeTheConnectionsHooks() async throws {
        try await withLoop { loop in
            var options = TCPServer.Options()
            options.proxyProtocol = try trusting("127.0.0.1")
            let server = TCPServer(port: 0, options: options)
            var events: [String] = []
            server.prepareStream = { events.append("prepare \($0.peerAddress?.host ?? "")") }
            server.onConnect = { events.append("connect \($0.peerAddress?.host ?? "")") }
            server.onClose = { stream, _ in
                events.append("close \(stream.peerAddress?.host ?? "")")
            }
            try server.listen { stream in _ = try await stream.readToEnd() }
            #expect(try await answer(server, "no header".bytes) == "")
            let header = "PROXY TCP4 198.51.100.7 192.0.2.1 50000 443\r\n".bytes
            #expect(try await answer(server, header) == "")
            try await loop.turns(until: { server.connectionCount == 0 })
            #expect(events == ["prepare", "connect", "close"].map { "\($0) 198.51.100.7" })
        }
    }

    @Test func anIdleProxyConnectionDoesNotHoldUpADrain() async throws {
        try await withLoop { loop in
            let guests = Guests()
            let server = try server(guests, trusting("127.0.0.1"))
            let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            defer { stream.close() }
            try await loop.turns(until: { server.connectionCount == 1 })
            #expect(await server.drain(.seconds(10)) == 0)
            #expect(guests.seen.isEmpty)
        }
    }
}
