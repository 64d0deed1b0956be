import CTestMemory
import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTLS
import UpdraftTesting

/// Cancellation at every place where this library waits.
@Suite struct FaultCancelTests {
    /// Cancels a wait before it begins, then in the middle.
    private nonisolated(nonsending) func expectCancellation(
        on loop: IOLoop, _ name: String,
        of body: nonisolated(nonsending) @escaping () async throws -> Void
    ) async throws {
        for isEarly in [true, false] {
            let answers = Answers()
            let task = answers.ask(name, on: loop, body)
            if !isEarly { try await loop.turns(6) }
            #expect(!answers.isComplete, "\(name) does not wait")
            task.cancel()
            try await loop.turns(until: { answers.isComplete })
            #expect(answers.texts == [name: "CancellationError"], "early: \(isEarly)")
        }
    }

    @Test(arguments: TransportKind.allCases)
    func everyReadCanBeCancelledAndLosesNothing(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let before = Holdings(of: loop)
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("abc")
            for reading in StreamFailureTests.readKinds where ![1, 6].contains(reading) {
                try await expectCancellation(on: loop, "read \(reading)") {
                    try await StreamFailureTests.read(reading, far)
                }
                #expect(!far.isReading)
            }
            #expect(try await far.read(exactly: 3) == "abc".bytes)
            // These take what there is.
            for reading in [1, 6] {
                try await expectCancellation(on: loop, "read \(reading)") {
                    try await StreamFailureTests.read(reading, far)
                }
            }
            try await near.write("d")
            #expect(try await far.read(upTo: 9) == "d".bytes)
            near.close()
            far.close()
            try await expectNothingLeft(since: before, on: loop)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func writesFlushesAndClosesCanBeCancelledAndLoseNothing(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let before = Holdings(of: loop)
            let (near, far) = try await kind.pair(on: loop)
            var accepted = 0
            try await expectCancellation(on: loop, "write") {
                accepted += kind.surfeit
                try await near.write([UInt8](repeating: 1, count: kind.surfeit))
            }
            try await expectCancellation(on: loop, "flush") { try await near.flush() }
            try await expectCancellation(on: loop, "closed") { try await near.closed() }
            near.close()
            try await expectCancellation(on: loop, "closed, closing") { try await near.closed() }
            #expect(try await far.readToEnd().count == accepted)
            far.close()
            try await expectNothingLeft(since: before, on: loop)
        }
    }

    @Test(arguments: TransportKind.plain, [true, false])
    func aHandshakeCanBeCancelledAndClosesItsStream(
        over kind: TransportKind, isServer: Bool
    ) async throws {
        let (client, server) = (try clientContext(), try serverContext())
        try await withLoop { loop in
            let before = Holdings(of: loop)
            for isEarly in [true, false] {
                let (near, far) = try await kind.pair(on: loop)
                let answers = Answers()
                let task = answers.ask("handshake", on: loop) {
                    if isServer {
                        try await near.startTLS(server: server)
                    } else {
                        try await near.startTLS(client: client, host: "localhost")
                    }
                }
                if !isEarly { try await loop.turns(4) }
                task.cancel()
                try await loop.turns(until: { answers.isComplete })
                #expect(answers.texts == ["handshake": "CancellationError"])
                #expect(near.isClosed)
                far.abort()
            }
            try await expectNothingLeft(since: before, on: loop)
        }
    }

    /// A listener that has no room for another connection: to connect waits there.
    private func fullListener() throws -> (sockets: [Int32], port: Int) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        func call(_ body: (UnsafeMutablePointer<sockaddr>) -> Int32) -> Int32 {
            withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1, body)
            }
        }
        let bound = call { Glibc.bind(listener, $0, length) }
        guard bound == 0, listen(listener, 0) == 0,
            call({ getsockname(listener, $0, &length) }) == 0
        else { throw SystemError(errno: errno, operation: "listen") }
        var sockets = [listener]
        for _ in 0..<3 {
            let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
            sockets.append(socket(AF_INET, kind, 0))
            _ = call { Glibc.connect(sockets[sockets.count - 1], $0, length) }
        }
        return (sockets, Int(in_port_t(bigEndian: address.sin_port)))
    }

    @Test func connectingCanBeCancelled() async throws {
        try await withLoop { loop in
            let (sockets, port) = try fullListener()
            defer { for socket in sockets { Glibc.close(socket) } }
            // It makes the threads of the resolver.
            let warm = try SystemResolver.shared(on: loop)
            _ = try await warm.resolve("127.0.0.1", port: 1, family: .any)
            let before = Holdings(of: loop)
            let address = try SocketAddress(host: "127.0.0.1", port: port)
            try await expectCancellation(on: loop, "connect to an address") {
                try await TCPClient.connect(to: address).abort()
            }
            try await expectCancellation(on: loop, "connect to a host") {
                try await TCPClient.connect(host: "127.0.0.1", port: port).abort()
            }
            try await expectCancellation(on: loop, "connect with TLS") {
                let context = try clientContext()
                try await TCPClient.connect(host: "127.0.0.1", port: port, tls: context).abort()
            }
            try await expectNothingLeft(since: before, on: loop)
        }
    }

    /// Answers when it is told to.
    private final class SlowResolver: Resolver {
        var asked = 0
        let loop: IOLoop
        init(_ loop: IOLoop) { self.loop = loop }

        nonisolated(nonsending) func resolve(
            _ host: String, port: Int, family: AddressFamily
        ) async throws -> [SocketAddress] {
            asked += 1
            try await loop.sleep(for: .seconds(3_600))
            return []
        }
    }

    @Test func resolvingCanBeCancelled() async throws {
        try await withLoop { loop in
            let resolver = SlowResolver(loop)
            let system = try SystemResolver(loop)
            let before = Holdings(of: loop)
            let answers = Answers()
            // The system's own way takes as long as it takes; whoever waits for it need not.
            let task = answers.ask("look-up", on: loop) {
                _ = try await system.resolve("no-such-host.invalid", port: 1, family: .any)
            }
            task.cancel()
            try await loop.turns(until: { answers.isComplete })
            #expect(answers.texts == ["look-up": "CancellationError"])
            try await expectCancellation(on: loop, "connect") {
                _ = try await TCPClient.connect(host: "a.example", port: 1, resolver: resolver)
            }
            #expect(resolver.asked >= 1)
            let after = try await before.settled(on: loop)
            #expect(after.streams == before.streams && after.timeouts == before.timeouts)
        }
    }

    @Test func acceptingCanBeCancelled() async throws {
        try await withLoop { loop in
            let before = Holdings(of: loop)
            for isEarly in [true, false] {
                let server = TCPServer(port: 0)
                let answers = Answers()
                let task = answers.ask("serve", on: loop) {
                    try await server.serve { try await $0.closed() }
                }
                if !isEarly { try await loop.turns(4) }
                task.cancel()
                try await loop.turns(until: { answers.isComplete })
                #expect(answers.texts == ["serve": "CancellationError"])
            }
            try await expectNothingLeft(since: before, on: loop)
        }
    }

    @Test func receivingDatagramsCanBeCancelled() async throws {
        try await withLoop { loop in
            let before = Holdings(of: loop)
            let socket = try UDPSocket()
            try await expectCancellation(on: loop, "receive") { _ = try await socket.receive() }
            try await expectCancellation(on: loop, "batch") {
                _ = try await socket.receiveBatch(upTo: 8)
            }
            try await expectCancellation(on: loop, "datagrams") {
                for try await _ in socket.datagrams {}
            }
            try await socket.send("x".bytes, to: socket.localAddress)
            #expect(try await socket.receive().bytes == "x".bytes)
            socket.close()
            try await expectNothingLeft(since: before, on: loop)
        }
    }

    @Test("no memory grows with time-outs and cancellations")
    func waitsThatWereGivenUpLeaveNoMemoryBehind() async throws {
        try await withVirtualLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop)
            var allocated: [Int] = []
            for _ in 0..<6 {
                for _ in 0..<500 {
                    _ = await failure {
                        try await withTimeout(.seconds(1)) { try await near.read(upTo: 1) }
                    }
                    let reading = loop.async { try await far.read(until: "\n") }
                    try await loop.nextTurn()
                    reading.cancel()
                    _ = await failure { try await reading.value }
                }
                allocated.append(Int(tm_allocated_bytes()))
            }
            // The testing library keeps some 200 bytes for each error that was thrown, up to the
            // end of the test.
            #expect(leastGrowth(allocated) < 500 * 2 * 250, "\(allocated)")
        }
    }

    /// A whole life of a connection, cancelled after each number of turns until it gets to its end.
    @Test("cancellation at every await", arguments: [false, true])
    func aProgramCanBeCancelledInAnyTurn(isTLS: Bool) async throws {
        let (client, server) = (try clientContext(), try serverContext())
        try await withLoop { loop in
            let listener = TCPServer(port: 0)
            if isTLS { listener.useTLS(server) }
            try listener.listen { stream in
                for try await line in stream.lines(keepingEnds: true) {
                    try await stream.write(line)
                }
            }
            func program() async throws {
                let stream =
                    isTLS
                    ? try await TCPClient.connect(
                        host: "127.0.0.1", port: listener.port, tls: client)
                    : try await TCPClient.connect(host: "127.0.0.1", port: listener.port)
                defer { stream.close() }
                let line = [UInt8](repeating: 0x61, count: 60_000) + [0x0A]
                for _ in 0..<4 { try await stream.write(line) }
                for _ in 0..<4 { _ = try await stream.read(until: "\n", maxBytes: 70_000) }
                try await stream.flush()
                stream.endWriting()
                _ = try await stream.readToEnd()
            }
            try await program()
            try await loop.turns(until: { listener.connectionCount == 0 })
            let before = Holdings(of: loop)
            var turns = 0
            var isDone = false
            while !isDone {
                let answers = Answers()
                let task = answers.ask("program", on: loop, program)
                for _ in 0..<turns where !answers.isComplete { try await loop.nextTurn() }
                task.cancel()
                try await loop.turns(until: { answers.isComplete })
                let text = answers.texts["program"]
                isDone = text == "value"
                #expect(isDone || text == "CancellationError", "after \(turns) turns")
                turns += turns < 40 ? 1 : 20
            }
            #expect(turns > 3)
            try await expectNothingLeft(since: before, on: loop)
            listener.stop()
        }
    }
}
