import TestSupport
import Testing
import Updraft
import UpdraftTesting

@testable import UpdraftTLS

/// Messages of TLS itself behind the handshake, cut in two: J14.
@Suite struct PostHandshakeTests {
    /// So large a certificate of a client that the server's ticket, which holds it, takes two
    /// records.
    private static let large = TestIdentity(
        "large", (0..<1_000).map { "DNS:name-\($0).example.org" }.joined(separator: ","),
        issuer: .authority)

    private func contexts() throws -> (TLSClientContext, TLSServerContext) {
        let client = try clientContext { $0.identity = PostHandshakeTests.large.identity }
        let server = try serverContext {
            $0.clientCertificates = .required(TestIdentity.authority.trust)
        }
        return (client, server)
    }

    @Test("the engine can't write while half of a message has come, and can when the rest has")
    func halfAMessageHoldsUpTheEnginesWrites() throws {
        let (clientContext, serverContext) = try contexts()
        let client = try clientContext.makeEngine(host: "localhost", place: "")
        let server = try serverContext.makeEngine()
        _ = client.handshake([])
        _ = server.handshake(client.takeOutput())
        #expect(client.handshake(server.takeOutput()).isDone)
        #expect(server.handshake(client.takeOutput()).isDone)
        let tickets = server.takeOutput()
        let first = 5 + Int(tickets[3]) << 8 + Int(tickets[4])
        #expect(first > 16_384 && tickets.count > first + 5, "the ticket takes two records")
        #expect(client.read(Array(tickets[..<first])).isEmpty)
        guard case .wantsInput = client.write("x".bytes) else {
            Issue.record("the engine writes in the middle of a message")
            return
        }
        #expect(!client.hasOutput)
        #expect(client.read(Array(tickets[first...])).isEmpty)
        #expect(client.write("x".bytes).isDone && client.hasOutput)
    }

    @Test(
        "a write that waits for the rest of a message goes on by itself", arguments: [true, false])
    func writesGoOnWhenTheRestHasCome(_ hasReader: Bool) async throws {
        let (clientContext, serverContext) = try contexts()
        try await withLoop { loop in
            let (left, right) = MemoryTransport.pair(on: loop, capacity: 200_000)
            let slow = ScriptedTransport(over: left, on: loop)
            let near = try IOStream(slow, loop: loop)
            let far = try IOStream(right, loop: loop)
            let accepting = loop.async { try await far.startTLS(server: serverContext) }
            try await near.startTLS(client: clientContext, host: "localhost")
            try await accepting.value
            slow.reads = [.atMost(17_000)]
            slow.everyRead = .wouldBlock
            let reading = loop.async { try await near.read(exactly: 6) }
            try await loop.turns(3)
            #expect(slow.reads.isEmpty)
            if !hasReader {
                reading.cancel()
                _ = await failure { try await reading.value }
            }
            try near.enqueue("hello!")
            try await loop.turns(3)
            #expect(near.unsentBytes == 6)
            slow.everyRead = .pass
            try await withTimeout(.seconds(5)) {
                try await far.write(far.read(exactly: 6))
                let answer = hasReader ? try await reading.value : try await near.read(exactly: 6)
                #expect(answer.text == "hello!")
            }
            near.abort()
            far.abort()
        }
    }

    enum Ending: CaseIterable {
        case endWriting
        case close
        case endWritingAndClose
    }

    @Test(
        "the end is said behind the rest of a message, and what was written is whole",
        arguments: Ending.allCases, [true, false])
    func theEndWaitsForTheRest(_ ending: Ending, readsTheRest: Bool) async throws {
        let (clientContext, serverContext) = try contexts()
        try await withLoop { loop in
            let (left, right) = MemoryTransport.pair(on: loop, capacity: 200_000)
            let slow = ScriptedTransport(over: left, on: loop)
            let near = try IOStream(slow, loop: loop)
            let far = try IOStream(right, loop: loop)
            let accepting = loop.async { try await far.startTLS(server: serverContext) }
            try await near.startTLS(client: clientContext, host: "localhost")
            try await accepting.value
            try await near.writeAndFlush("hello!")
            slow.reads = [.atMost(17_000)]
            slow.everyRead = .wouldBlock
            let reading = loop.async { try await near.read(exactly: 6) }
            try await loop.turns(3)
            #expect(slow.reads.isEmpty)
            reading.cancel()
            _ = await failure { try await reading.value }
            if ending != .close { near.endWriting() }
            if ending != .endWriting { near.close() }
            try await loop.turns(3)
            slow.everyRead = .pass
            if readsTheRest, ending == .endWriting {
                try await far.writeAndFlush("bye")
                #expect(try await near.read(exactly: 3).text == "bye")
            }
            let all = try await withTimeout(.seconds(5)) { try await far.readToEnd() }
            #expect(all.text == "hello!")
            if ending != .endWriting { try await near.closed() }
            near.abort()
            far.abort()
        }
    }

    /// Two streams with TLS, and the first part of a message in the near one's engine.
    private struct Halved {
        let near: IOStream
        let far: IOStream
        let transport: TLSTransport
        let slow: ScriptedTransport
        let right: MemoryTransport
        /// What is missing, if it was taken out of the connection.
        var rest: [UInt8] = []

        nonisolated(nonsending) init(
            _ contexts: (client: TLSClientContext, server: TLSServerContext), _ loop: IOLoop,
            takesRest: Bool
        ) async throws {
            let (left, right) = MemoryTransport.pair(on: loop, capacity: 200_000)
            self.right = right
            slow = ScriptedTransport(over: left, on: loop)
            (near, far) = (try IOStream(slow, loop: loop), try IOStream(right, loop: loop))
            let far = far
            let accepting = loop.async { try await far.startTLS(server: contexts.server) }
            try await near.startTLS(client: contexts.client, host: "localhost")
            try await accepting.value
            transport = try #require(near.transport as? TLSTransport)
            var part = [UInt8](repeating: 0, count: 17_000)
            _ = try part.withUnsafeMutableBytes { try left.read(into: $0) }
            #expect(transport.engine.read(part).isEmpty)
            if takesRest {
                var memory = [UInt8](repeating: 0, count: 100_000)
                if case .bytes(let count) = try memory.withUnsafeMutableBytes({
                    try left.read(into: $0)
                }) {
                    rest = Array(memory[..<count])
                }
            } else {
                slow.everyRead = .wouldBlock
            }
        }
    }

    @Test("a write goes on although a read took the rest of the message, and no event comes")
    func writesGoOnBehindARead() async throws {
        let contexts = try contexts()
        try await withLoop { loop in
            let halved = try await Halved(contexts, loop, takesRest: true)
            let writing = loop.async { try await halved.near.writeAndFlush("hello!") }
            try await loop.turns(3)
            #expect(!writing.isDone)
            halved.transport.watch?.stop()
            #expect(try halved.rest.withUnsafeBytes { try halved.right.write($0) } > 0)
            var memory = [UInt8](repeating: 0, count: 100)
            _ = try memory.withUnsafeMutableBytes { try halved.transport.read(into: $0) }
            try await withTimeout(.seconds(5)) {
                try await writing.value
                #expect(try await halved.far.read(exactly: 6).text == "hello!")
            }
            halved.near.abort()
            halved.far.abort()
        }
    }

    @Test("a write that got through by itself leaves the end to be said once")
    func theEndIsSaidOnceBehindAWriteThatGotThrough() async throws {
        let contexts = try contexts()
        try await withLoop { loop in
            let halved = try await Halved(contexts, loop, takesRest: false)
            let (near, far) = (halved.near, halved.far)
            try near.enqueue("hello!")
            try await loop.turns(3)
            #expect(near.unsentBytes == 6)
            halved.slow.everyRead = .pass
            near.sendNow()
            #expect(near.unsentBytes == 0)
            near.endWriting()
            guard case .ended = halved.transport.output else {
                Issue.record("there is nothing more to wait for")
                return
            }
            #expect(
                try await withTimeout(.seconds(5)) { try await far.readToEnd() }.text == "hello!")
            try await far.writeAndFlush("a whole answer")
            far.endWriting()
            #expect(try await near.readToEnd().text == "a whole answer")
            near.close()
            far.close()
        }
    }

    @Test("who reads is told of a failure that the end met in the middle of a message")
    func readersLearnWhatTheEndHasMet() async throws {
        let contexts = try contexts()
        try await withLoop { loop in
            let halved = try await Halved(contexts, loop, takesRest: true)
            let near = halved.near
            let reading = loop.async { await tlsFailure { try await near.read(exactly: 6) } }
            try await loop.turns(3)
            halved.right.shutdownWrite()
            near.endWriting()
            let code = try await withTimeout(.seconds(5)) { try await reading.value }
            #expect(code == .truncated)
            halved.far.abort()
        }
    }

    @Test("a peer that leaves in the middle of a message ends the write that waits for it")
    func writesFailWithoutTheRest() async throws {
        let (clientContext, serverContext) = try contexts()
        try await withLoop { loop in
            let (left, right) = MemoryTransport.pair(on: loop, capacity: 200_000)
            let slow = ScriptedTransport(over: left, on: loop)
            let near = try IOStream(slow, loop: loop)
            let far = try IOStream(right, loop: loop)
            let accepting = loop.async { try await far.startTLS(server: serverContext) }
            try await near.startTLS(client: clientContext, host: "localhost")
            try await accepting.value
            var part = [UInt8](repeating: 0, count: 17_000)
            _ = try part.withUnsafeMutableBytes { try left.read(into: $0) }
            slow.everyRead = .wouldBlock
            let engine = try #require(near.transport as? TLSTransport).engine
            #expect(engine.read(part).isEmpty)
            // The rest is lost.
            var rest = [UInt8](repeating: 0, count: 100_000)
            _ = try rest.withUnsafeMutableBytes { try left.read(into: $0) }
            let writing = loop.async { await tlsFailure { try await near.writeAndFlush("hello!") } }
            try await loop.turns(3)
            right.shutdownWrite()
            slow.everyRead = .pass
            let code = try await withTimeout(.seconds(5)) { try await writing.value }
            #expect(code == .truncated)
            far.abort()
        }
    }
}
