import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Streams, servers and clients on every poller: edges, rearming, ends and failures.
@Suite struct PollerStreamTests {
    @Test(arguments: PollerKind.tested)
    func aMegabyteComesBack(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let server = TCPServer(port: 0)
            try server.listen { stream in
                for try await chunk in stream.chunks { try await stream.write(chunk) }
            }
            var random = SeededGenerator(seed: 3)
            let sent = random.bytes(1 << 20)
            let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            // More than the kernel takes at once: both directions block and are rearmed.
            let writer = loop.spawn {
                try await stream.write(sent)
                try await stream.flush()
                stream.endWriting()
            }
            let received = try await stream.readToEnd()
            await writer.value
            #expect(received == sent)
            stream.close()
            server.stop()
        }
    }

    @Test(arguments: PollerKind.tested)
    func aWriterWaitsForAReaderThatComesLate(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let (near, far) = try await connectedPair(on: loop)
            let bytes = [UInt8](repeating: 5, count: 16 << 20)
            try near.enqueue(Array(bytes.prefix(8 << 20)))
            let writer = loop.spawn {
                try await near.flush()
                near.close()
            }
            try await loop.turns(20)
            #expect(near.unsentBytes > 0)
            var count = 0
            for try await chunk in far.chunks { count += chunk.count }
            #expect(count == 8 << 20)
            await writer.value
            far.close()
        }
    }

    @Test(.serialized, arguments: PollerKind.tested)
    func aHundredConnectionsEcho(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let server = TCPServer(port: 0)
            try server.listen { stream in
                for try await line in stream.lines(keepingEnds: true) {
                    try await stream.write(line)
                }
            }
            let port = server.port
            try await loop.group { group in
                for index in 0..<100 {
                    group.spawn {
                        let stream = try await TCPClient.connect(host: "127.0.0.1", port: port)
                        defer { stream.close() }
                        for round in 0..<5 {
                            let line = "\(index) \(round)\n"
                            try await stream.write(line)
                            #expect(try await stream.read(until: "\n") == line.bytes)
                        }
                    }
                }
            }
            server.stop()
        }
    }

    @Test(arguments: PollerKind.tested)
    func theEndIsNoticedAfterTheLastBytes_C4(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let (near, far) = try await connectedPair(on: loop)
            try await far.write("last words")
            far.close()
            #expect(try await near.readToEnd() == "last words".bytes)
            near.close()
            // And when the reader waits already.
            let (left, right) = try await connectedPair(on: loop)
            loop.callLater(.milliseconds(1)) { right.close() }
            #expect(await streamFailure { try await left.read(upTo: 1) } == .endOfStream)
            left.close()
        }
    }

    @Test(arguments: PollerKind.tested)
    func aResetEndsAReaderAndAWriterThatWait(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let (near, far) = try await connectedPair(on: loop)
            loop.callLater(.milliseconds(1)) { far.abort() }
            #expect(await streamFailure { try await near.read(upTo: 1) } == .closed)
            #expect(near.isClosed)
            let (left, right) = try await connectedPair(on: loop)
            try left.enqueue([UInt8](repeating: 5, count: 8 << 20))
            loop.callLater(.milliseconds(1)) { right.abort() }
            #expect(await streamFailure { try await left.flush() } == .closed)
        }
    }

    @Test(arguments: PollerKind.tested)
    func aRefusedConnectIsAnError_H4(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let server = TCPServer(port: 0)
            try server.bind()
            let port = server.port
            server.stop()
            let code = await streamFailure {
                try await TCPClient.connect(host: "127.0.0.1", port: port)
            }
            #expect(code == .cannotConnect)
        }
    }

    @Test(arguments: PollerKind.tested)
    func aHalfClosedPeerStillGetsItsAnswer(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let (near, far) = try await connectedPair(on: loop)
            try await near.write("question")
            near.endWriting()
            #expect(try await far.readToEnd() == "question".bytes)
            try await far.write([UInt8](repeating: 1, count: 3 << 20))
            far.close()
            #expect(try await near.readToEnd().count == 3 << 20)
            near.close()
        }
    }
}
