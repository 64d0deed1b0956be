import TestSupport
import Testing
import Updraft
import UpdraftTesting

@testable import UpdraftTLS

/// Reading, writing and closing over TLS: J2-J9 with TLS beneath.
@Suite struct TrafficTests {
    @Test(
        "3.2.31 over TLS: mixed reads keep the byte stream intact", arguments: TransportKind.plain)
    func bytesComeThroughInOrder(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (client, server) = try await kind.securePair(on: loop)
            var random = SeededGenerator(seed: 7)
            let sent = random.bytes(kind.isSlow ? 60_000 : 1_000_000)
            let writing = loop.async {
                var random = SeededGenerator(seed: 8)
                var rest = sent[...]
                while !rest.isEmpty {
                    let part = rest.prefix(1 + Int(random.next() % 30_000))
                    rest = rest.dropFirst(part.count)
                    try await client.write(Array(part))
                }
                client.endWriting()
            }
            let echoing = loop.async {
                for try await chunk in server.chunks { try await server.write(chunk) }
                server.endWriting()
            }
            var received: [UInt8] = []
            while received.count < sent.count {
                let left = sent.count - received.count
                if random.next() % 2 == 0 {
                    received += try await client.read(upTo: 1 + Int(random.next() % 5_000))
                } else {
                    received += try await client.read(
                        exactly: min(left, 1 + Int(random.next() % 20_000)))
                }
            }
            #expect(received == sent)
            try await writing.value
            try await echoing.value
            #expect(try await client.readToEnd() == [])
            client.close()
            server.close()
        }
    }

    @Test(
        "what is decrypted already is readable without another event",
        arguments: TransportKind.plain)
    func bufferedPlainTextIsReadable(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (client, server) = try await kind.securePair(on: loop)
            for number in 0..<5 { try await client.write("line \(number)\n") }
            try await client.flush()
            client.close()
            var lines: [String] = []
            for try await line in server.lines { lines.append(line.text) }
            #expect(lines == (0..<5).map { "line \($0)" })
            server.close()
        }
    }

    @Test func delimitersMayLieInTwoRecords() async throws {
        try await withLoop { loop in
            let (client, server) = try await TransportKind.tcp.securePair(on: loop)
            for part in ["GET /\r", "\n\r", "\n", "body"] {
                try await client.write(part)
                try await client.flush()
            }
            #expect(try await server.read(until: "\r\n\r\n").text == "GET /\r\n\r\n")
            #expect(try await server.read(exactly: 4).text == "body")
            client.abort()
            server.abort()
        }
    }

    // MARK: The end

    @Test("close_notify is the end of the stream", arguments: TransportKind.plain)
    func aCloseIsAnEnd(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (client, server) = try await kind.securePair(on: loop)
            try await client.write("last words")
            client.close()
            #expect(try await server.readToEnd().text == "last words")
            let after = await failure { try await server.read(upTo: 1) } as? StreamError
            #expect(after?.code == .endOfStream)
            server.close()
            try await server.closed()
        }
    }

    @Test(
        "an end behind bytes, in one piece with them, needs no other event",
        arguments: TransportKind.plain)
    func anEndBehindBytesIsSeen(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (client, server) = try await kind.securePair(on: loop)
            let transport = try #require(client.transport as? TLSTransport)
            _ = "last".bytes.withUnsafeBytes { transport.engine.write($0) }
            #expect(transport.engine.end())
            while transport.engine.hasOutput {
                try transport.sendOutput()
                try await loop.nextTurn()
            }
            // The connection beneath stays open.
            #expect(try await server.readToEnd().text == "last")
            client.abort()
            server.abort()
        }
    }

    @Test(
        "a bare end of the connection is a truncation, told apart",
        arguments: [TransportKind.tcp, .memory])
    func aBareEndIsATruncation(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (client, server) = try await kind.securePair(on: loop)
            try await client.write("half a messa")
            try await client.flush()
            let transport = try #require(client.transport as? TLSTransport)
            transport.base.shutdownWrite()
            #expect(try await server.read(exactly: 12).text == "half a messa")
            let error = await failure { try await server.readToEnd() } as? StreamError
            #expect(error?.code == .closed && error?.tls?.code == .truncated)
            #expect(server.isClosed)
            client.abort()
        }
    }

    @Test("a peer that ends its direction without the end of TLS gets ours behind the answer")
    func aCutQuestionHasAWholeAnswer() async throws {
        try await withLoop { loop in
            let (client, server) = try await TransportKind.tcp.securePair(on: loop)
            try await client.writeAndFlush("question\n")
            #expect(try await server.read(until: "\n").text == "question\n")
            try await loop.turns(5)
            (client.transport as? TLSTransport)?.base.shutdownWrite()
            try server.enqueue("answer")
            server.close()
            #expect(try await client.readToEnd().text == "answer")
            try await server.closed()
            #expect(server.closeReason?.code == .closed && server.closeReason?.cause == nil)
        }
    }

    @Test func whatCameBeforeATruncationStaysReadable() async throws {
        try await withLoop { loop in
            let (client, server) = try await TransportKind.memory.securePair(on: loop)
            try await client.write("half a messa")
            try await client.flush()
            (client.transport as? TLSTransport)?.base.shutdownWrite()
            #expect(await tlsFailure { try await server.readToEnd() } == .truncated)
            #expect(try await server.read(upTo: 100).text == "half a messa")
            client.abort()
        }
    }

    @Test("half-close: the peer's end does not end this side", arguments: TransportKind.plain)
    func theOtherDirectionGoesOn(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (client, server) = try await kind.securePair(on: loop)
            try await client.write("question")
            client.endWriting()
            #expect(try await server.readToEnd().text == "question")
            let answer = [UInt8](repeating: 42, count: 50_000)
            try await server.write(answer)
            server.close()
            #expect(try await client.readToEnd() == answer)
            client.close()
        }
    }

    @Test func endWritingDuringTheHandshakeEndsAfterIt() async throws {
        try await withLoop { loop in
            let (client, server) = try await TransportKind.memory.pair(on: loop)
            try await client.beginTLS(client: clientContext(), host: "localhost")
            client.endWriting()
            try await server.startTLS(server: serverContext())
            #expect(try await server.readToEnd() == [])
            try await server.write("ok")
            server.close()
            #expect(try await client.readToEnd().text == "ok")
            client.close()
        }
    }

    @Test("close sends all of what was written, also to a slow reader")
    func closeSendsEverything() async throws {
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 1_000)
            let context = try serverContext()
            let accepting = loop.async { try await far.startTLS(server: context) }
            try await near.startTLS(client: clientContext(), host: "localhost")
            try await accepting.value
            let bytes = [UInt8](repeating: 9, count: 100_000)
            try near.enqueue(bytes)
            near.close()
            #expect(try await far.readToEnd() == bytes)
            try await near.closed()
            far.close()
        }
    }

    @Test("the alert of TLS's own end waits for room after the stream has let go")
    func closeNotifyWaitsForRoom() async throws {
        try await withLoop { loop in
            let (left, right) = MemoryTransport.pair(on: loop)
            let stalling = ScriptedTransport(over: left, on: loop)
            let near = try IOStream(stalling, loop: loop)
            let far = try IOStream(right, loop: loop)
            let context = try serverContext()
            let accepting = loop.async { try await far.startTLS(server: context) }
            try await near.startTLS(client: clientContext(), host: "localhost")
            try await accepting.value
            stalling.writes = [.wouldBlock, .wouldBlock, .atMost(1), .wouldBlock, .atMost(5)]
            near.close()
            try await near.closed()
            #expect(try await far.readToEnd() == [])
            far.close()
        }
    }

    // MARK: Back-pressure

    @Test(
        "accepted means sent: nothing is hoarded beneath the stream", arguments: TransportKind.plain
    )
    func writersWaitForReaders(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (client, server) = try await kind.securePair(on: loop)
            let bytes = [UInt8](repeating: 3, count: kind.isSlow ? 300_000 : 20_000_000)
            var isDone = false
            let writing = loop.async {
                try await client.write(bytes)
                try await client.flush()
                isDone = true
            }
            for _ in 0..<200 { try await loop.nextTurn() }
            #expect(!isDone && client.unsentBytes > 0)
            let transport = try #require(client.transport as? TLSTransport)
            #expect(transport.engine.outputCount < 100_000)
            var count = 0
            while count < bytes.count { count += try await server.read(upTo: 65_536).count }
            try await writing.value
            #expect(count == bytes.count && client.unsentBytes == 0)
            client.close()
            server.close()
        }
    }

    @Test func flushReturnsWhenTheCiphertextHasLeft() async throws {
        try await withLoop { loop in
            let (left, right) = MemoryTransport.pair(on: loop)
            let slow = ScriptedTransport(over: left, on: loop)
            let near = try IOStream(slow, loop: loop)
            let far = try IOStream(right, loop: loop)
            let context = try serverContext()
            let accepting = loop.async { try await far.startTLS(server: context) }
            try await near.startTLS(client: clientContext(), host: "localhost")
            try await accepting.value
            let before = slow.bytesWritten
            slow.everyWrite = .atMost(100)
            try await near.write([UInt8](repeating: 1, count: 5_000))
            try await near.flush()
            #expect(slow.bytesWritten - before == 5_000 + 22)
            near.abort()
            far.abort()
        }
    }

    @Test(arguments: TransportKind.plain)
    func filesAreSentEncrypted(over kind: TransportKind) async throws {
        let folder = TestFolder()
        let text = String(repeating: "0123456789", count: kind.isSlow ? 5_000 : 100_000)
        let file = folder.write(text, to: "file")
        try await withLoop { loop in
            let (client, server) = try await kind.securePair(on: loop)
            let sending = loop.async {
                try await client.write("head ")
                try await client.sendFile(file)
                try await client.write(" foot")
                client.close()
            }
            #expect(try await server.readToEnd().text == "head " + text + " foot")
            try await sending.value
            server.close()
        }
        withExtendedLifetime(folder) {}
    }

    @Test("an offer that has become smaller, as a file may, is not over-counted")
    func smallerOffersAreNotOverCounted() async throws {
        try await withLoop { loop in
            let (left, right) = MemoryTransport.pair(on: loop)
            let slow = ScriptedTransport(over: left, on: loop)
            let near = try IOStream(slow, loop: loop)
            let far = try IOStream(right, loop: loop)
            let context = try serverContext()
            let accepting = loop.async { try await far.startTLS(server: context) }
            try await near.startTLS(client: clientContext(), host: "localhost")
            try await accepting.value
            let transport = near.transport
            let bytes = [UInt8](repeating: 1, count: 1_000)
            func offer(_ count: Int, _ step: ScriptedTransport.Step) throws -> Int {
                slow.writes = [step]
                return try bytes[..<count].withUnsafeBytes { try transport.write($0) }
            }
            #expect(try offer(1_000, .atMost(500)) == 0)
            #expect(try offer(400, .pass) == 400)
            #expect(try offer(700, .pass) == 700)
            #expect(try await far.read(exactly: 1_100) == bytes + bytes[..<100])
            near.abort()
            far.abort()
        }
    }

    // MARK: Faults

    @Test func aResetWhileReadingHasItsCause() async throws {
        try await withLoop { loop in
            for kind in [TransportKind.tcp, .memory] {
                let (client, server) = try await kind.securePair(on: loop)
                try await client.write("abc")
                try await client.flush()
                #expect(try await server.read(exactly: 3).text == "abc")
                let reading = loop.async { try await server.read(upTo: 10) }
                try await loop.nextTurn()
                client.abort()
                let error = await failure { try await reading.value } as? StreamError
                #expect((error?.cause as? SystemError)?.isDisconnect == true, "\(kind)")
            }
        }
    }

    @Test("garbage in the middle of a connection closes it, and tells the peer")
    func garbageClosesTheConnection() async throws {
        try await withLoop { loop in
            let (client, server) = try await TransportKind.tcp.securePair(on: loop)
            let transport = try #require(client.transport as? TLSTransport)
            _ = try "this is no record at all".bytes.withUnsafeBytes {
                try transport.base.write($0)
            }
            #expect(await tlsFailure { try await server.read(upTo: 10) } == .protocolError)
            #expect(await tlsFailure { try await client.read(upTo: 10) } == .alertReceived)
            try await client.closed()
            try await server.closed()
        }
    }

    @Test("TLS over TLS: the base may be any transport")
    func aBaseMayBeAnyTransport() async throws {
        try await withLoop { loop in
            let (client, server) = try await TransportKind.tcp.securePair(on: loop)
            let (outer, inner) = (try clientContext(), try serverContext())
            let engines = (
                try outer.makeEngine(host: "localhost", place: ""), try inner.makeEngine()
            )
            try client.replaceTransport { base in
                let tls = TLSTransport(over: base, on: loop, engines.0)
                try tls.begin(timeout: .seconds(10))
                return tls
            }
            try server.replaceTransport { base in
                let tls = TLSTransport(over: base, on: loop, engines.1)
                try tls.begin(timeout: .seconds(10))
                return tls
            }
            (client.transport as? TLSTransport)?.advanceHandshake()
            try await client.write([UInt8](repeating: 5, count: 200_000))
            client.close()
            #expect(try await server.readToEnd().count == 200_000)
            #expect(server.peerAddress != nil)
            server.close()
        }
    }

    @Test func connectionsLeaveNothingBehind() async throws {
        try await withLoop { loop in
            weak var engine: TLSEngine?
            for kind in TransportKind.plain {
                let (client, server) = try await kind.securePair(on: loop)
                engine = (client.transport as? TLSTransport)?.engine
                #expect(engine != nil)
                client.close()
                _ = try await server.readToEnd()
                server.close()
                try await client.closed()
                try await server.closed()
            }
            for _ in 0..<10 { try await loop.nextTurn() }
            #expect(engine == nil)
        }
    }
}
