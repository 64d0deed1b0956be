import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Errors of a transport, where and when they are met: conformance list 3.2, 34-36, and rows J10,
/// J15, J17 and J18.
@Suite struct StreamFailureTests {
    private static let reset = SystemError(errno: 104, operation: "recv")

    private func scripted(on loop: IOLoop) throws -> (IOStream, ScriptedTransport, IOStream) {
        let (left, right) = MemoryTransport.pair(on: loop)
        let script = ScriptedTransport(over: left, on: loop)
        return (
            try IOStream(script, loop: loop), script, try IOStream(right, loop: loop)
        )
    }

    /// The kinds of reads, each of which waits for more than is there.
    static nonisolated(nonsending) func read(_ kind: Int, _ stream: IOStream) async throws {
        switch kind {
        case 0: _ = try await stream.read(exactly: 9)
        case 1: _ = try await stream.read(upTo: 9)
        case 2: _ = try await stream.read(until: "\n")
        case 3: _ = try await stream.readToEnd()
        case 4:
            var buffer = [UInt8](repeating: 0, count: 9)
            _ = try await stream.read(into: &buffer)
        case 5: _ = try await stream.read(atLeast: 9) { $0.byteCount }
        case 6: for try await _ in stream.chunks {}
        default: for try await _ in stream.lines {}
        }
    }

    static let readKinds = 0..<8

    /// Held: 3.2.34, 3.2.35.
    @Test(arguments: StreamFailureTests.readKinds)
    func anErrorMetAtOnceIsThrownByTheReadItself_3_2_34_35(kind: Int) async throws {
        try await withLoop { loop in
            let log = LogCapture(of: loop)
            let (stream, script, peer) = try scripted(on: loop)
            try await peer.write("x")
            try await peer.flush()
            try await loop.turns(3)
            script.reads = [.fail(Self.reset)]
            let turn = loop.turnNumber
            let error = await failure { try await Self.read(kind, stream) } as? StreamError
            #expect(error?.code == .closed)
            #expect(error?.cause as? SystemError == Self.reset)
            // Before anything else had a turn.
            #expect(loop.turnNumber == turn)
            #expect(stream.isClosed)
            try await loop.turns(3)
            #expect(log.all.isEmpty && log.unhandled == 0)
        }
    }

    /// Held: 3.2.36.
    @Test(arguments: StreamFailureTests.readKinds)
    func anErrorMetLaterGoesToTheReadOnceAndToNobodyElse_3_2_36_J15(kind: Int) async throws {
        try await withLoop { loop in
            let log = LogCapture(of: loop)
            let (stream, script, peer) = try scripted(on: loop)
            let reading = loop.async { await failure { try await Self.read(kind, stream) } }
            try await loop.turns(3)
            #expect(stream.isReading)
            script.everyRead = .fail(Self.reset)
            try await peer.write("x")
            let error = try await reading.value as? StreamError
            #expect(error?.cause as? SystemError == Self.reset)
            #expect((stream.closeReason?.cause as? SystemError)?.isDisconnect == true)
            try await loop.turns(3)
            #expect(log.all.isEmpty && log.unhandled == 0)
        }
    }

    /// One that is idle, one that is read, one that is written, and a server's connection.
    @Test(.enabled(if: pollerTellsFailuresUnasked), arguments: TransportKind.withReset)
    func resetsAndBrokenPipesMakeNoNoise_J15(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let log = LogCapture(of: loop)
            for way in 0..<3 {
                let (near, far) = try await kind.pair(on: loop)
                let task = loop.async {
                    switch way {
                    case 0: break
                    case 1: _ = try await near.read(exactly: 1)
                    default:
                        while true {
                            try await near.write([UInt8](repeating: 1, count: 10_000))
                            try await near.flush()
                        }
                    }
                }
                try await loop.turns(5)
                far.abort()
                try await near.closed()
                #expect((near.closeReason?.cause as? SystemError)?.isDisconnect == true)
                _ = await failure { try await task.value }
            }
            let server = TCPServer(port: 0)
            log.add(server)
            try server.listen { stream in _ = try await stream.readToEnd() }
            let client = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            try await client.write("x")
            try await client.flush()
            try await loop.turns(until: { server.connectionCount == 1 })
            client.abort()
            try await loop.turns(until: { server.connectionCount == 0 })
            #expect(log.noise == [])
        }
    }

    /// A read has what it waits for as soon as it came, whatever comes behind it.
    @Test(arguments: StreamFailureTests.readKinds.filter { $0 != 3 })
    func aReadHasItsBytesAlthoughACloseFollowsAtOnce_J8(kind: Int) async throws {
        try await withLoop { loop in
            let (stream, script, peer) = try scripted(on: loop)
            let reading = loop.async { await streamFailure { try await Self.read(kind, stream) } }
            try await loop.turns(until: { stream.isReading })
            try peer.enqueue("12345678\n".bytes)
            peer.sendNow()
            #expect(!reading.isDone)
            script.onReady?(.read)
            stream.close()
            // What waits for more, waits in vain.
            let isEndless = kind > 5
            #expect(try await reading.value == (isEndless ? .closed : nil))
        }
    }

    /// Half of what it waits for is no answer, and is not lost.
    @Test func aReadToTheEndFailsWithTheCloseAndItsBytesStay_J8() async throws {
        try await withLoop { loop in
            let (stream, _, peer) = try scripted(on: loop)
            let reading = loop.async { await streamFailure { try await stream.readToEnd() } }
            try await peer.write("half")
            try await loop.turns(until: { stream.unparsedBytes == 4 })
            stream.close()
            #expect(try await reading.value == .closed)
            #expect(try await stream.read(exactly: 4) == "half".bytes)
        }
    }

    @Test func statesTellWhatIsUnderWay_J10() async throws {
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 10)
            #expect(!near.isReading && !near.isWriting && !near.isClosed)
            let reading = loop.async { try await near.read(exactly: 1) }
            try near.enqueue([UInt8](repeating: 1, count: 50))
            try await loop.turns(3)
            #expect(near.isReading && near.isWriting && near.unsentBytes == 40)
            #expect(try await far.read(exactly: 50).count == 50)
            try await far.write("x")
            #expect(try await reading.value == "x".bytes)
            #expect(!near.isReading && !near.isWriting && !near.isClosed)
            near.close()
            #expect(near.isClosed)
        }
    }

    @Test(arguments: TransportKind.prompt)
    func whatHasComeIsReadWithoutWaiting_J17(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await far.write("abc\ndef")
            try await far.flush()
            try await loop.turns(5)
            let turn = loop.turnNumber
            #expect(try await near.read(exactly: 1) == "a".bytes)
            #expect(try await near.read(until: "\n") == "bc\n".bytes)
            #expect(try await near.read(upTo: 9) == "def".bytes)
            #expect(loop.turnNumber == turn)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func callbacksRunInALaterTurnNeverInsideACall_J18(over kind: TransportKind) async throws {
        try await withLoop { loop in
            for way in 0..<3 {
                let (near, far) = try await kind.pair(on: loop)
                var called = false
                near.onClose { called = true }
                switch way {
                case 0: near.close()
                case 1: near.abort()
                default:
                    near.endWriting()
                    far.endWriting()
                    _ = try await near.readToEnd()
                    near.close()
                }
                let turn = loop.turnNumber
                #expect(!called)
                try await loop.turns(until: { called })
                #expect(loop.turnNumber > turn)
                far.abort()
            }
        }
    }

    @Test func errorsOfASocketAreSetApartFromOthers_J15() {
        for (number, isDisconnect) in [
            (104, true), (103, true), (32, true), (110, true), (9, false), (22, false),
        ] {
            let error = SystemError(errno: Int32(number), operation: "test")
            #expect(error.isDisconnect == isDisconnect, "\(number)")
        }
    }
}
