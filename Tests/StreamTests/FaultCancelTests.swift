import TestSupport
import Testing
import Updraft
import UpdraftTLS
import UpdraftTesting

/// Cancellation at every place where a stream waits; `FaultCancelNetTests` has the others. Each is
/// done over and over, and leaves nothing behind.
@Suite struct FaultCancelTests {
    @Test(arguments: TransportKind.allCases)
    func everyReadCanBeCancelledAndLosesNothing(over kind: TransportKind) async throws {
        try await withLoop { loop in
            try await expectNoGrowth(on: loop) {
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
            }
        }
    }

    #if Regex
        @Test(arguments: TransportKind.allCases)
        func aReadUntilAMatchCanBeCancelledAndLosesNothing(over kind: TransportKind) async throws {
            let end = try BytePattern(";|!")
            try await withLoop { loop in
                try await expectNoGrowth(on: loop) {
                    let (near, far) = try await kind.pair(on: loop)
                    try await near.write("abc")
                    for _ in 0..<2 {
                        try await expectCancellation(on: loop, "read until a match") {
                            _ = try await far.read(untilMatching: end)
                        }
                        #expect(!far.isReading)
                    }
                    try await near.write("d;")
                    #expect(try await far.read(untilMatching: end) == "abcd;".bytes)
                    near.close()
                    far.close()
                }
            }
        }
    #endif

    @Test(arguments: TransportKind.allCases)
    func writesFlushesAndClosesCanBeCancelledAndLoseNothing(over kind: TransportKind) async throws {
        let bytes = [UInt8](repeating: 1, count: kind.surfeit)
        try await withLoop { loop in
            try await expectNoGrowth(on: loop) {
                let (near, far) = try await kind.pair(on: loop)
                var accepted = 0
                try await expectCancellation(on: loop, "write") {
                    accepted += bytes.count
                    try await near.write(bytes)
                }
                try await expectCancellation(on: loop, "write pieces") {
                    accepted += 3
                    try await near.write(pieces: [[1, 2], [3]])
                }
                try await expectCancellation(on: loop, "flush") { try await near.flush() }
                try await expectCancellation(on: loop, "closed") { try await near.closed() }
                near.close()
                try await expectCancellation(on: loop, "closed, closing") {
                    try await near.closed()
                }
                #expect(try await far.readToEnd().count == accepted)
                far.close()
            }
        }
    }

    /// What was accepted of a file is all of it.
    @Test(arguments: TransportKind.allCases, [false, true])
    func sendingAFileCanBeCancelledAndSendsAllOfIt(
        over kind: TransportKind, byPath: Bool
    ) async throws {
        let file = try SparseFile(kind.surfeit)
        try await withLoop { loop in
            // It makes the threads that open files.
            try await loop.runInExecutor {}
            try await expectNoGrowth(on: loop) {
                let (near, far) = try await kind.pair(on: loop)
                let answers = Answers()
                let sending = answers.ask("file", on: loop) {
                    if byPath {
                        try await near.sendFile(file.path)
                    } else {
                        try await near.sendFile(descriptor: file.descriptor)
                    }
                }
                try await loop.turns(until: { near.isWriting })
                try await loop.turns(6)
                #expect(!answers.isComplete)
                sending.cancel()
                try await loop.turns(until: { answers.isComplete })
                #expect(answers.texts == ["file": "CancellationError"])
                try near.enqueue("tail".bytes)
                near.close()
                #expect(try await far.readToEnd().count == kind.surfeit + 4)
                far.close()
            }
        }
    }

    @Test(arguments: TransportKind.plain, [true, false])
    func aHandshakeCanBeCancelledAndClosesItsStream(
        over kind: TransportKind, isServer: Bool
    ) async throws {
        let (client, server) = (try clientContext(), try serverContext())
        try await withLoop { loop in
            try await expectNoGrowth(on: loop) {
                for isEarly in [true, false] {
                    let (near, far) = try await kind.pair(on: loop)
                    try await expectCancellation(on: loop, "handshake", early: isEarly) {
                        if isServer {
                            try await near.startTLS(server: server)
                        } else {
                            try await near.startTLS(client: client, host: "localhost")
                        }
                    }
                    #expect(near.isClosed)
                    far.abort()
                }
            }
        }
    }

    /// The go-ahead has not left: there is neither a plain stream any more nor an encrypted one.
    @Test(arguments: TransportKind.plain, [true, false])
    func anUpgradeThatWaitsForWhatWasWrittenCanBeCancelledAndClosesItsStream(
        over kind: TransportKind, isServer: Bool
    ) async throws {
        let (client, server) = (try clientContext(), try serverContext())
        let bytes = [UInt8](repeating: 1, count: kind.surfeit)
        try await withLoop { loop in
            try await expectNoGrowth(on: loop) {
                for isEarly in [true, false] {
                    let (near, far) = try await kind.pair(on: loop)
                    try near.enqueue(bytes)
                    try await expectCancellation(on: loop, "upgrade", early: isEarly) {
                        if isServer {
                            try await near.startTLS(server: server)
                        } else {
                            try await near.startTLS(client: client, host: "localhost")
                        }
                    }
                    #expect(near.isClosed)
                    far.abort()
                }
            }
        }
    }

    /// Whoever waits for the handshake gives up; the handshake goes on.
    @Test(arguments: TransportKind.plain)
    func aWaitForTheHandshakeCanBeCancelledAndLeavesItAlone(
        over kind: TransportKind
    ) async throws {
        let server = try serverContext()
        try await withLoop { loop in
            try await expectNoGrowth(on: loop) {
                // Of its own, with the tickets that it keeps.
                let client = try clientContext()
                let (near, far) = try await kind.pair(on: loop)
                try await far.beginTLS(server: server)
                try await expectCancellation(on: loop, "handshake") {
                    try await far.waitForHandshake()
                }
                #expect(!far.isClosed)
                let accepting = loop.async { try await far.waitForHandshake() }
                try await near.startTLS(client: client, host: "localhost")
                try await accepting.value
                try await near.write("x")
                #expect(try await far.read(exactly: 1) == "x".bytes)
                near.close()
                far.close()
            }
        }
    }

    @Test("no memory grows with time-outs and cancellations")
    func waitsThatWereGivenUpLeaveNoMemoryBehind() async throws {
        try await withVirtualLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop)
            try await expectNoGrowth(on: loop, times: 500) {
                _ = await failure {
                    try await withTimeout(.seconds(1)) { try await near.read(upTo: 1) }
                }
                let reading = loop.async { try await far.read(until: "\n") }
                try await loop.nextTurn()
                reading.cancel()
                _ = await failure { try await reading.value }
            }
        }
    }

    /// Of one stream that lives on: what waits has a place in its lists.
    @Test("no memory grows with waits to send and to close that were given up")
    func aStreamForgetsWaitsToSendAndToCloseThatWereGivenUp() async throws {
        try await withVirtualLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop)
            try near.enqueue([UInt8](repeating: 1, count: TransportKind.memory.surfeit))
            // What the other end has room for leaves.
            try await loop.turns(until: { near.unsentBytes < TransportKind.memory.surfeit })
            try await loop.turns(3)
            try await expectNoGrowth(on: loop, times: 50) {
                try await expectCancellation(on: loop, "flush", early: false) {
                    try await near.flush()
                }
                try await expectCancellation(on: loop, "closed", early: false) {
                    try await near.closed()
                }
            }
            near.abort()
            far.abort()
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
