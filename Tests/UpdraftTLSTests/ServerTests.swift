import TestSupport
import Testing
import Updraft
import UpdraftRPC
import UpdraftTesting

@testable import UpdraftTLS

/// Servers and clients with TLS: J14, K1, K10.
@Suite struct ServerTests {
    private nonisolated(nonsending) func withEcho(
        on loop: IOLoop, _ context: TLSServerContext,
        _ body: nonisolated(nonsending) (TCPServer) async throws -> Void
    ) async throws {
        let server = TCPServer(port: 0)
        server.useTLS(context)
        try server.listen { stream in
            for try await chunk in stream.chunks { try await stream.write(chunk) }
        }
        try await body(server)
        server.stop()
    }

    @Test(
        "K10: connect with TLS returns a stream that is encrypted and checked",
        arguments: [TLSVersion.tls12, .tls13])
    func clientsConnectWithTLS(_ version: TLSVersion) async throws {
        try await withLoop { loop in
            try await withEcho(on: loop, serverContext()) { server in
                let context = try clientContext { $0.maximumVersion = version }
                for isResumed in [false, true, true] {
                    let stream = try await TCPClient.connect(
                        host: "localhost", port: server.port, tls: context)
                    try await stream.write("hello")
                    #expect(try await stream.read(exactly: 5).text == "hello")
                    #expect(stream.tls?.isResumed == isResumed && stream.tls?.version == version)
                    #expect(stream.peerAddress?.port == server.port)
                    stream.close()
                    try await stream.closed()
                }
            }
        }
    }

    @Test(
        "RFC 5246, 7.2.2: the session of a connection that failed is not resumed",
        arguments: [TLSVersion.tls12, .tls13])
    func failedConnectionsAreNotResumed(_ version: TLSVersion) async throws {
        try await withLoop { loop in
            let client = try clientContext { $0.maximumVersion = version }
            let server = try serverContext()
            func connect() async throws -> (near: IOStream, far: IOStream, isResumed: Bool?) {
                let (near, far) = try await TransportKind.memory.securePair(
                    on: loop, client, server)
                try await far.write("x")
                #expect(try await near.read(exactly: 1).text == "x")
                return (near, far, near.tls?.isResumed)
            }
            #expect(try await connect().isResumed == false)
            let (near, far, isResumed) = try await connect()
            #expect(isResumed == true)
            let transport = try #require(far.transport as? TLSTransport)
            _ = try "this is no record at all".bytes.withUnsafeBytes {
                try transport.base.write($0)
            }
            #expect(await tlsFailure { try await near.read(upTo: 1) } == .protocolError)
            #expect(try await connect().isResumed == false)
            #expect(try await connect().isResumed == true)
            far.abort()
        }
    }

    @Test("on every poller", arguments: [PollerChoice.epoll, .select])
    func everyPollerCarriesTLS(_ poller: PollerChoice) async throws {
        try await withLoop(making: { try IOLoop(poller: poller) }) { loop in
            try await withEcho(on: loop, serverContext()) { server in
                let stream = try await TCPClient.connect(
                    host: "localhost", port: server.port, tls: clientContext())
                var random = SeededGenerator(seed: 1)
                let bytes = random.bytes(500_000)
                let writing = loop.async { try await stream.write(bytes) }
                #expect(try await stream.read(exactly: bytes.count) == bytes)
                try await writing.value
                stream.close()
            }
        }
    }

    @Test func clientsDoNotConnectToTheWrongHost() async throws {
        try await withLoop { loop in
            try await withEcho(on: loop, serverContext([.ann])) { server in
                let context = try clientContext()
                let port = server.port
                let code = await tlsFailure {
                    try await TCPClient.connect(host: "localhost", port: port, tls: context)
                }
                #expect(code == .peerNameMismatch)
            }
        }
    }

    @Test("a client that takes its time in the handshake holds up nobody")
    func slowHandshakesHoldUpNobody() async throws {
        try await withLoop { loop in
            var contextOptions = TLSServerOptions(identities: [TestIdentity.local.identity])
            contextOptions.handshakeTimeout = .milliseconds(300)
            try await withEcho(on: loop, TLSServerContext(contextOptions)) { server in
                var silent: [IOStream] = []
                for _ in 0..<20 {
                    silent.append(
                        try await TCPClient.connect(host: "127.0.0.1", port: server.port))
                }
                let stream = try await TCPClient.connect(
                    host: "localhost", port: server.port, tls: clientContext())
                try await stream.write("quick")
                #expect(try await stream.read(exactly: 5).text == "quick")
                #expect(server.connectionCount == 21)
                for each in silent {
                    #expect(try await each.readToEnd() == [])
                    each.close()
                }
                stream.close()
            }
        }
    }

    @Test("3.8 TLS: a plain request to a TLS port is dropped quietly, and the server goes on")
    func plainRequestsAreDropped() async throws {
        try await withLoop { loop in
            var unhandled = 0
            loop.onUnhandledError = { _, _ in unhandled += 1 }
            try await withEcho(on: loop, serverContext()) { server in
                let plain = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                try await plain.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(try await plain.readToEnd() == [])
                plain.close()
                let stream = try await TCPClient.connect(
                    host: "localhost", port: server.port, tls: clientContext())
                try await stream.write("on")
                #expect(try await stream.read(exactly: 2).text == "on")
                stream.close()
                #expect(unhandled == 0)
            }
        }
    }

    @Test func aStalledHandshakeDoesNotHoldUpADrain() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.bind()
            let context = try serverContext()
            let serving = loop.async { try await server.serve(tls: context) { _ in } }
            let stalled = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            try await stalled.write([22, 3, 1])
            while server.connectionCount == 0 { try await loop.nextTurn() }
            let start = loop.now
            #expect(await server.drain(.seconds(20)) == 0)
            #expect(loop.now < start.advanced(by: .seconds(5)))
            try await serving.value
            stalled.abort()
        }
    }

    @Test func manyConnectionsThatVanishLeaveNothing() async throws {
        try await withLoop { loop in
            try await withEcho(on: loop, serverContext()) { server in
                var random = SeededGenerator(seed: 3)
                let context = try clientContext()
                // One that is served comes first: the server has its spare descriptor then.
                let first = try await TCPClient.connect(
                    host: "localhost", port: server.port, tls: context)
                first.close()
                try await first.closed()
                while server.connectionCount > 0 { try await loop.nextTurn() }
                let descriptors = openDescriptors()
                for number in 0..<200 {
                    let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                    switch number % 4 {
                    case 0: break
                    case 1: try await stream.write(random.bytes(1 + number))
                    case 2: try await stream.write([22, 3, 1, 0, 200, 1])
                    default: try await stream.beginTLS(client: context, host: "localhost")
                    }
                    if number % 3 == 0 { stream.close() } else { stream.abort() }
                }
                while server.connectionCount > 0 { try await loop.nextTurn() }
                // The last words to those that were refused may still be on their way.
                while openDescriptors() > descriptors { try await loop.nextTurn() }
                let stream = try await TCPClient.connect(
                    host: "localhost", port: server.port, tls: context)
                try await stream.write("well")
                #expect(try await stream.read(exactly: 4).text == "well")
                stream.close()
            }
        }
    }

    @Test func contextsServeSeveralLoops() async throws {
        let (client, server) = (try clientContext(), try serverContext())
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    try await withLoop { loop in
                        for _ in 0..<10 {
                            let (near, far) = try await TransportKind.memory.securePair(
                                on: loop, client, server)
                            try await near.write("x")
                            #expect(try await far.read(exactly: 1).text == "x")
                            far.close()
                            _ = try await near.readToEnd()
                            near.close()
                        }
                    }
                }
                group.addTask { for _ in 0..<5 { try server.reload() } }
            }
            try await group.waitForAll()
        }
    }

    @Test func remoteProcedureCallsGoOverTLS() async throws {
        try await withLoop { loop in
            let rpc = RPCServer(port: 0)
            let context = try serverContext()
            rpc.prepareStream = { try await $0.startTLS(server: context) }
            rpc.register("sum") { (x: Int, y: Int) in x + y }
            try rpc.bind()
            let serving = loop.async { try await rpc.serve() }
            let stream = try await TCPClient.connect(
                host: "localhost", port: rpc.port, tls: clientContext())
            let peer = try RPCPeer(stream: stream)
            let three: Int = try await peer.call("sum", 1, 2)
            #expect(three == 3)
            peer.close()
            rpc.stop()
            try await serving.value
        }
    }
}
