import TestSupport
import Testing
import Updraft
import UpdraftTesting

@testable import UpdraftTLS

/// A stream that is closed may have last words to send, or a peer that has to read them: as long
/// as its descriptor is open, it counts.
@Suite struct ReleaseTests {
    /// Clients that speak no TLS, and stay.
    private nonisolated(nonsending) func connectPlainly(
        _ count: Int, to server: TCPServer
    ) async throws -> [IOStream] {
        var peers: [IOStream] = []
        for _ in 0..<count {
            let peer = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            try await peer.write("GET / HTTP/1.1\r\n\r\n")
            _ = await failure { try await peer.readToEnd() }
            peers.append(peer)
        }
        return peers
    }

    private func makeServer(totalTimeout: Duration? = nil) throws -> TCPServer {
        var options = TCPServer.Options()
        options.connectionsMax = 4
        options.whenFull = .refuse
        options.totalTimeout = totalTimeout
        let server = TCPServer(port: 0, options: options)
        server.useTLS(try serverContext())
        try server.listen { _ in }
        return server
    }

    @Test("connectionsMax bounds the descriptors of TLS connections too, also of refused peers")
    func refusedPeersCountAsLongAsTheyHaveADescriptor() async throws {
        try await withVirtualLoop { loop in
            let server = try makeServer()
            // The server has its spare descriptor from the first on.
            for peer in try await connectPlainly(1, to: server) { peer.close() }
            while server.connectionCount > 0 { try await loop.nextTurn() }
            let before = openChannels()
            var peers: [IOStream] = []
            // Those for whom there was no room were reset, and have no descriptor either.
            func openPeers() -> Int { peers.count { !$0.isClosed } }
            for _ in 0..<10 {
                peers += try await connectPlainly(1, to: server)
                #expect(openChannels() - before - openPeers() <= 4)
            }
            #expect(server.connectionCount == 4 && server.counts.refused == 6)
            try await loop.sleep(for: .milliseconds(2_100))
            #expect(server.connectionCount == 0)
            #expect(openChannels() - before == openPeers())
            for peer in peers { peer.close() }
            server.stop()
        }
    }

    @Test("a server that stops waits for no refused peer, nor for one that it refuses then")
    func refusedPeersDoNotHoldUpAStop() async throws {
        try await withVirtualLoop { loop in
            let server = try makeServer()
            var peers = try await connectPlainly(1, to: server)
            let silent = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            while server.connectionCount < 2 { try await loop.nextTurn() }
            let start = loop.now
            let draining = loop.async { await server.drain(.seconds(30)) }
            try await loop.turns(5)
            #expect(server.connectionCount == 1)
            try await silent.write("GET / HTTP/1.1\r\n\r\n")
            peers.append(silent)
            #expect(try await draining.value == 0)
            #expect(start.duration(to: loop.now) < .milliseconds(100))
            for peer in peers { peer.close() }
        }
    }

    @Test("a server that stops while a connection is upgraded waits a second for the hello")
    func aStopBeforeTheUpgradeHoldsForIt() async throws {
        try await withVirtualLoop { loop in
            let (silent, stream) = try MemoryStream.pair(on: loop)
            stream.endInputWhenIdle()
            let start = loop.now
            let context = try serverContext()
            let code = await tlsFailure { try await stream.startTLS(server: context) }
            #expect(code == .handshakeTimedOut)
            #expect(start.duration(to: loop.now) == .seconds(1))
            silent.abort()
        }
    }

    @Test("a connection that is cut has no time left for its peer to read why")
    func aCutEndsTheLastWordsToo() async throws {
        try await withVirtualLoop { loop in
            let server = try makeServer(totalTimeout: .milliseconds(500))
            let before = openChannels()
            let peers = try await connectPlainly(3, to: server)
            #expect(server.connectionCount == 3)
            try await loop.sleep(for: .milliseconds(600))
            #expect(server.connectionCount == 0)
            // The server's listener, which was there before, and its spare descriptor.
            #expect(openChannels() - before - peers.count <= 1)
            for peer in peers { peer.close() }
            server.stop()
        }
    }

    @Test("closed() waits until the last bytes have left and the transport beneath is closed")
    func closedWaitsForTheLastWords() async throws {
        try await withLoop { loop in
            let (left, right) = MemoryTransport.pair(on: loop)
            let stalling = ScriptedTransport(over: left, on: loop)
            let near = try IOStream(stalling, loop: loop)
            let far = try IOStream(right, loop: loop)
            let context = try serverContext()
            let accepting = loop.async { try await far.startTLS(server: context) }
            try await near.startTLS(client: clientContext(), host: "localhost")
            try await accepting.value
            stalling.everyWrite = .wouldBlock
            var told: [String] = []
            near.onClose { told.append("onClose") }
            near.close()
            let waits = (0..<2).map { number in
                loop.async {
                    try await near.closed()
                    told.append("closed \(number)")
                }
            }
            try await loop.turns(5)
            #expect(near.isClosed && told == ["onClose"])
            stalling.everyWrite = .pass
            for wait in waits { try await wait.value }
            #expect(told == ["onClose", "closed 0", "closed 1"])
            try await near.closed()
            #expect(try await far.readToEnd() == [])
            far.close()
        }
    }

    @Test("a peer that says nothing is not given time to read why it was given up")
    func silentPeersAreReleasedAtOnce() async throws {
        try await withVirtualLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop)
            let context = try serverContext()
            let start = loop.now
            #expect(
                await tlsFailure { try await near.startTLS(server: context) } == .handshakeTimedOut)
            try await near.closed()
            #expect(start.duration(to: loop.now) == .seconds(10))
            #expect(try await far.readToEnd() == [])
            #expect(start.duration(to: loop.now) == .seconds(10))
            far.close()
        }
    }

    @Test("TLS over TLS: the layer that still has last words is waited for")
    func everyLayerIsWaitedFor() async throws {
        try await withLoop { loop in
            let (left, right) = MemoryTransport.pair(on: loop)
            let stalling = ScriptedTransport(over: left, on: loop)
            let near = try IOStream(stalling, loop: loop)
            let far = try IOStream(right, loop: loop)
            let (server, client) = (try serverContext(), try clientContext())
            let accepting = loop.async { try await far.startTLS(server: server) }
            try await near.startTLS(client: client, host: "localhost")
            try await accepting.value
            try near.replaceTransport { base in
                let engine = try client.makeEngine(host: "localhost", place: "")
                let tls = TLSTransport(over: base, on: loop, engine)
                try tls.begin(timeout: .seconds(10))
                return tls
            }
            let transport = try #require(near.transport as? TLSTransport)
            transport.advanceHandshake()
            try await loop.turns(3)
            stalling.everyWrite = .wouldBlock
            near.close()
            var isReleased = false
            let waiting = loop.async {
                try await near.closed()
                isReleased = true
            }
            try await loop.turns(5)
            #expect(near.isClosed && !isReleased)
            stalling.everyWrite = .pass
            _ = try await far.readToEnd()
            far.close()
            try await waiting.value
        }
    }
}
