import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract row J2 and conformance list 3.2, over TCP and over memory.
@Suite struct StreamWriteTests {
    /// Held: 3.2.17, 3.2.37.
    @Test(arguments: TransportKind.allCases, [1, 2, 3])
    func smallAndLargeWritesArriveInOrder(over kind: TransportKind, seed: Int) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let reader = loop.async { try await far.readToEnd() }
            var random = SeededGenerator(seed: UInt64(seed))
            var expected: [UInt8] = []
            while expected.count < (kind.isSlow ? 1 << 16 : 1 << 19) {
                let isLarge = Int.random(in: 0..<40, using: &random) == 0
                let size = Int.random(in: 0...(isLarge ? 90_000 : 300), using: &random)
                let bytes = random.bytes(size)
                expected += bytes
                switch Int.random(in: 0..<6, using: &random) {
                case 0: try near.enqueue(bytes)
                case 1: try bytes.withUnsafeBytes { try near.enqueue(copying: $0) }
                case 2:
                    try await near.write(bytes)
                    try await near.flush()
                case 3:
                    try await near.write(bytes)
                    try await loop.nextTurn()
                default: try await near.write(bytes)
                }
            }
            near.close()
            #expect(try await reader.value == expected)
        }
    }

    /// Held: 3.2.27.
    @Test(arguments: TransportKind.allCases)
    func aWriterWaitsWhileTheReaderPausesAndItsBufferStaysBounded(over kind: TransportKind)
        async throws
    {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let piece = [UInt8](repeating: 7, count: 10_000)
            let total = kind.base == .tcp ? 10_000_000 : kind.surfeit
            var written = 0
            var peak = 0
            let writer = loop.async {
                while written < total {
                    try await near.write(piece)
                    written += piece.count
                    peak = max(peak, near.unsentBytes)
                }
                near.close()
            }
            // The writer stops for want of room, long before it is done.
            var seen = -1
            while seen != written || written == 0 {
                seen = written
                try await loop.turns(200)
            }
            #expect(written < total)
            #expect(near.isWriting)
            var got = 0
            for try await chunk in far.chunks { got += chunk.count }
            try await writer.value
            #expect(got == total)
            #expect(peak <= near.options.highWaterMark + piece.count)
        }
    }

    /// Held: 3.2.50.
    @Test func writesOfOneTurnLeaveInOneSend() async throws {
        try await withLoop { loop in
            let (near, _) = MemoryTransport.pair(on: loop)
            let counting = ScriptedTransport(over: near, on: loop)
            let stream = try IOStream(counting, loop: loop)
            for number in 0..<100 {
                if number.isMultiple(of: 2) {
                    try await stream.write("line \(number)\n")
                } else {
                    try stream.enqueue("line \(number)\n".bytes)
                }
            }
            loop.spawn { try await stream.write("of another task\n") }
            #expect(counting.writeCalls == 0)
            try await loop.turns(2)
            #expect(counting.writeCalls == 1)
            #expect(!stream.isWriting)
        }
    }

    /// Held: 3.2.51.
    @Test func piecesLargeAndSmallOfOneTurnLeaveInOneSend() async throws {
        try await withLoop { loop in
            let (near, far) = MemoryTransport.pair(on: loop, capacity: 1 << 20)
            let counting = ScriptedTransport(over: near, on: loop)
            let stream = try IOStream(counting, loop: loop)
            for _ in 0..<5 {
                try await stream.write("small")
                try await stream.write([UInt8](repeating: 1, count: 20_000))
            }
            try await loop.turns(2)
            #expect(counting.writeCalls == 1)
            #expect(far.unreadBytes == 100_025)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func flushReturnsWhenEverythingHasLeft(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try near.enqueue([UInt8](repeating: 1, count: kind.surfeit))
            let flush = loop.async { try await near.flush() }
            try await loop.turns(20)
            #expect(!flush.isDone)
            let reader = loop.async { try await far.read(exactly: kind.surfeit) }
            try await flush.value
            #expect(!near.isWriting)
            #expect(try await reader.value.count == kind.surfeit)
            try await near.flush()
        }
    }

    @Test(arguments: TransportKind.allCases)
    func aFlushWaitsForWhatWasWrittenBeforeItOnly(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try near.enqueue("abc".bytes)
            try await near.flush()
            #expect(try await far.read(exactly: 3) == "abc".bytes)
        }
    }

    @Test func enqueueRefusesBeyondItsLimitAndQueuesNothing_J2() async throws {
        try await withLoop { loop in
            let options = streamOptions { $0.writeBufferMax = 100 }
            let (near, far) = try MemoryStream.pair(on: loop, options: options)
            try near.enqueue([UInt8](repeating: 1, count: 60))
            #expect(
                await streamFailure { try near.enqueue([UInt8](repeating: 2, count: 41)) }
                    == .bufferFull)
            #expect(near.unsentBytes == 60)
            try near.enqueue([UInt8](repeating: 3, count: 40))
            near.close()
            let expected = [UInt8](repeating: 1, count: 60) + [UInt8](repeating: 3, count: 40)
            #expect(try await far.readToEnd() == expected)
        }
    }

    /// Held: 3.2.8.
    @Test(arguments: TransportKind.allCases)
    func anEmptyWriteCompletesAtOnce_J2(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write([])
            #expect(!near.isWriting)
            try await near.write("a")
            try await near.write([])
            try await near.write("b")
            #expect(try await far.read(exactly: 2) == "ab".bytes)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func writingToAClosedStreamThrows_J2(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, _) = try await kind.pair(on: loop)
            near.close()
            #expect(await streamFailure { try await near.write("x") } == .closed)
            try await near.closed()
            #expect(await streamFailure { try await near.write("x") } == .closed)
            #expect(await streamFailure { try near.enqueue([1]) } == .closed)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func writingToAPeerThatIsGoneClosesTheStream_J15(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            far.abort()
            var code: StreamError.Code?
            while code == nil {
                code = await streamFailure {
                    try await near.write("anyone?")
                    try await loop.nextTurn()
                }
            }
            #expect(code == .closed)
            try await near.closed()
            #expect((near.closeReason?.cause as? SystemError)?.isDisconnect == true)
        }
    }

    @Test(arguments: TransportKind.prompt)
    func aFailedWriteDoesNotLoseTheLastWordsOfThePeer(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("unread by the peer")
            try await near.flush()
            try await loop.turns(5)
            try await far.write("too many players")
            try await far.flush()
            far.close()
            try await far.closed()
            while !near.isClosed {
                _ = await streamFailure { try await near.write("x") }
                try await loop.nextTurn()
            }
            #expect(try await near.read(exactly: 16) == "too many players".bytes)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func flushAfterAnAbortSaysThatBytesWereDropped(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, _) = try await kind.pair(on: loop)
            try await near.write("dropped")
            near.abort()
            #expect(await streamFailure { try await near.flush() } == .closed)
        }
    }

    @Test func flushOfAClosedStreamThatSentEverythingIsNoError() async throws {
        try await withLoop { loop in
            let (near, _) = try MemoryStream.pair(on: loop)
            try await near.write("sent")
            near.close()
            try await near.closed()
            try await near.flush()
        }
    }

    @Test(arguments: TransportKind.allCases)
    func cancellingAWriteOrFlushLeavesTheStreamUsableAndTheBytesAccepted(over kind: TransportKind)
        async throws
    {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var errors: [any Error] = []
            for call in ["write", "flush"] {
                let task = loop.spawn {
                    let error = await failure {
                        if call == "write" {
                            try await near.write([UInt8](repeating: 1, count: kind.surfeit))
                        } else {
                            try await near.flush()
                        }
                    }
                    if let error { errors.append(error) }
                }
                try await loop.turns(20)
                task.cancel()
                await task.value
            }
            #expect(errors.count == 2 && errors.allSatisfy { $0 is CancellationError })
            try near.enqueue("end".bytes)
            #expect(try await far.read(exactly: kind.surfeit).count == kind.surfeit)
            #expect(try await far.read(exactly: 3) == "end".bytes)
        }
    }

    @Test func aWriterBelowTheMarkIsNotHeldUpByAFlush() async throws {
        try await withLoop { loop in
            let options = streamOptions {
                $0.highWaterMark = 2_500
                $0.lowWaterMark = 2_000
            }
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 100, options: options)
            try near.enqueue([UInt8](repeating: 1, count: 3_000))
            let flush = loop.async { try await near.flush() }
            try await loop.nextTurn()
            let write = loop.async { try await near.write([UInt8](repeating: 2, count: 10)) }
            try await loop.turns(3)
            var got = 0
            while !write.isDone {
                got += try await far.read(upTo: 100).count
                try await loop.turns(4)
            }
            // The writer goes on when 2,000 bytes are left; the flush ends when none of 3,000 is.
            #expect(got <= 1_200)
            #expect(!flush.isDone)
            _ = try await far.read(exactly: 3_010 - got)
            try await flush.value
        }
    }

    @Test func errorsOfTheTransportReachEveryWaiterOnce() async throws {
        try await withLoop { loop in
            let (base, peer) = MemoryTransport.pair(on: loop)
            let faulty = ScriptedTransport(over: base, on: loop)
            faulty.writes = [.wouldBlock, .atMost(2)]
            faulty.everyWrite = .fail(SystemError(errno: 104, operation: "send"))
            let stream = try IOStream(faulty, loop: loop)
            var answers: [StreamError.Code] = []
            for _ in 0..<3 {
                loop.spawn {
                    if let code = await streamFailure(of: { try await stream.flush() }) {
                        answers.append(code)
                    }
                }
            }
            loop.spawn {
                if let code = await streamFailure(of: { try await stream.read(exactly: 1) }) {
                    answers.append(code)
                }
            }
            try await stream.write("abcdef")
            try await stream.closed()
            try await loop.turns(3)
            #expect(answers == [.closed, .closed, .closed, .closed])
            #expect(faulty.bytesWritten == 2 && peer.unreadBytes == 2)
        }
    }
}
