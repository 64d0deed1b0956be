import TestSupport
import Testing
import Updraft
import UpdraftTLS
import UpdraftTesting

/// Ends of every kind while everything waits that can wait on a stream: each is answered once.
@Suite struct FaultCloseTests {
    enum End: String, CaseIterable, Sendable {
        case close, abort, peerAborts, peerCloses, peerEnds, transportFails
    }

    /// Waits that no byte will satisfy: a read of one kind, writes, flushes and waits for the end.
    private func waitForEverything(
        _ stream: IOStream, _ kind: TransportKind, reading: Int
    ) -> Answers {
        let (loop, answers) = (stream.loop, Answers())
        answers.ask("read", on: loop) { try await StreamFailureTests.read(reading, stream) }
        for number in 0..<2 {
            answers.ask("write \(number)", on: loop) {
                try await stream.write([UInt8](repeating: 1, count: kind.surfeit))
            }
            answers.ask("flush \(number)", on: loop) { try await stream.flush() }
            answers.ask("closed \(number)", on: loop) { try await stream.closed() }
        }
        return answers
    }

    @Test(arguments: TransportKind.allCases, End.allCases)
    func everyWaitIsAnsweredOnce(over kind: TransportKind, end: End) async throws {
        try await withLoop { loop in
            let before = Holdings(of: loop)
            // All kinds of reads over memory; elsewhere a few are enough.
            for reading in kind == .memory ? StreamFailureTests.readKinds : 0..<3 {
                let (answers, calls) = try await endAll(on: loop, kind, end, reading: reading)
                #expect(calls == 1)
                for (name, answer) in answers {
                    let expected = name.hasPrefix("closed") ? ["value"] : ["closed"]
                    // The end of the peer's direction comes to its reader before the stream's.
                    let isEnd =
                        name == "read" && [.peerEnds, .peerCloses, .peerAborts].contains(end)
                    // A socket that closes takes what it is sent for a while more.
                    let isTaken = !name.hasPrefix("closed") && end == .peerCloses
                    let others =
                        (isEnd ? ["endOfStream"] : []) + (isEnd || isTaken ? ["value"] : [])
                    #expect((expected + others).contains(answer), "\(name) \(answer)")
                }
            }
            try await expectNothingLeft(since: before, on: loop)
        }
    }

    /// A stream on which everything waits, and its end. What was answered, and how often the
    /// callback was called.
    private nonisolated(nonsending) func endAll(
        on loop: IOLoop, _ kind: TransportKind, _ end: End, reading: Int
    ) async throws -> (answers: [String: String], calls: Int) {
        let options = streamOptions { $0.closeTimeout = .milliseconds(20) }
        let (near, far) = try await kind.pair(on: loop, options)
        var calls = 0
        near.onClose { calls += 1 }
        let answers = waitForEverything(near, kind, reading: reading)
        try await loop.turns(5)
        guard near.isReading, near.isWriting else { throw Broken() }
        try await bring(end, near, far)
        if end == .peerCloses {
            // Whoever has read the end closes.
            try await loop.turns(until: { !near.isReading })
            near.close()
        }
        try await loop.turns(until: { answers.isComplete })
        try await loop.turns(3)
        far.abort()
        return (answers.texts, calls)
    }

    @Test("no memory grows, whatever ends a stream", arguments: TransportKind.allCases)
    func endsLeaveNoMemoryBehind(over kind: TransportKind) async throws {
        try await withLoop { loop in
            try await expectNoGrowth(on: loop) {
                for end in End.allCases {
                    _ = try await endAll(on: loop, kind, end, reading: 0)
                }
            }
        }
    }

    private nonisolated(nonsending) func bring(
        _ end: End, _ near: IOStream, _ far: IOStream
    ) async throws {
        switch end {
        case .close: near.close()
        case .abort: near.abort()
        case .peerAborts: far.abort()
        case .peerCloses: far.close()
        case .peerEnds:
            far.endWriting()
            try await near.loop.turns(5)
            near.close()
        case .transportFails: near.fail(SystemError(errno: 110, operation: "recv"))
        }
    }

    @Test("the loop is closed while everything waits", arguments: TransportKind.allCases)
    func aLoopThatIsClosedLeavesNoDescriptor(over kind: TransportKind) async throws {
        let before = openChannels()
        for _ in 0..<3 {
            try await withLoop { loop in
                let (near, far) = try await kind.pair(on: loop)
                _ = waitForEverything(near, kind, reading: 0)
                try await loop.turns(5)
                withExtendedLifetime(far) {}
            }
        }
        #expect(openChannels() <= before)
    }

    @Test("close while a handshake is pending", arguments: TransportKind.plain, End.allCases)
    func handshakesAreAnsweredOnceToo(over kind: TransportKind, end: End) async throws {
        let (client, server) = (try clientContext(), try serverContext())
        try await withLoop { loop in
            try await expectNoGrowth(on: loop) {
                for isClient in [true, false] {
                    let (near, far) = try await kind.pair(on: loop)
                    var calls = 0
                    near.onClose { calls += 1 }
                    if isClient {
                        try await near.beginTLS(client: client, host: "localhost")
                    } else {
                        try await near.beginTLS(server: server)
                    }
                    let answers = Answers()
                    answers.ask("handshake", on: loop) { try await near.waitForHandshake() }
                    answers.ask("read", on: loop) { _ = try await near.read(upTo: 1) }
                    answers.ask("flush", on: loop) {
                        try await near.write("early")
                        try await near.flush()
                    }
                    answers.ask("closed", on: loop) { try await near.closed() }
                    try await loop.turns(5)
                    #expect(near.isReading && near.isWriting)
                    try await bring(end, near, far)
                    // What waits to be sent after the handshake holds a close back for long.
                    if end == .close || end == .peerEnds { near.abort() }
                    try await loop.turns(until: { answers.isComplete && calls > 0 })
                    #expect(
                        answers.texts == [
                            "handshake": "closed", "read": "closed", "flush": "closed",
                            "closed": "value",
                        ])
                    far.abort()
                }
            }
        }
    }

    @Test("close while a server drains", arguments: [End.close, .abort, .peerAborts, .peerCloses])
    func aDrainEndsWhenItsLastConnectionDoes(end: End) async throws {
        try await withLoop { loop in
            // The server itself, its socket and its task are gone, too.
            try await expectNoGrowth(on: loop, times: 5) {
                let server = TCPServer(port: 0)
                var accepted: IOStream?
                let answers = Answers()
                try server.listen { stream in
                    accepted = stream
                    _ = try await stream.read(until: "\n")
                }
                let near = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                // Half a line: the server's side is in the middle of something.
                try await near.write("half")
                try await loop.turns(until: { accepted?.isReading == true })
                try await loop.turns(5)
                answers.ask("drain", on: loop) {
                    let cut = await server.drain(.seconds(20))
                    #expect(cut == 0)
                }
                try await loop.turns(10)
                #expect(!answers.isComplete)
                try await bring(end, #require(accepted), near)
                try await loop.turns(until: { answers.isComplete })
                near.abort()
            }
        }
    }
}
