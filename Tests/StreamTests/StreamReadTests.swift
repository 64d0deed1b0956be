import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract rows J3-J7, J17 and conformance list 3.2, over TCP and over memory.
@Suite struct StreamReadTests {
    @Test(arguments: TransportKind.allCases)
    func readExactlyReturnsSoManyBytesAndLeavesTheRest_J3(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("abcdefgh")
            #expect(try await far.read(exactly: 3) == "abc".bytes)
            #expect(try await far.read(exactly: 5) == "defgh".bytes)
            loop.spawn {
                try await near.write("12")
                try await loop.turns(3)
                try await near.write("34")
            }
            #expect(try await far.read(exactly: 4) == "1234".bytes)
        }
    }

    /// Held: 3.2.18.
    @Test(arguments: TransportKind.allCases)
    func readUpToReturnsWhatIsThere_J3(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("abcdef")
            var got: [UInt8] = []
            while got.count < 6 {
                let part = try await far.read(upTo: 4)
                #expect(!part.isEmpty && part.count <= 4)
                got += part
            }
            #expect(got == "abcdef".bytes)
        }
    }

    /// Held: 3.2.18.
    @Test(arguments: TransportKind.allCases)
    func aReadOfNothingReturnsAtOnce_J3(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            #expect(try await far.read(exactly: 0) == [])
            #expect(try await far.read(upTo: 0) == [])
            near.close()
        }
    }

    @Test(arguments: TransportKind.allCases, 1...7)
    func readUntilFindsADelimiterAcrossEveryCut_J4(over kind: TransportKind, cut: Int) async throws
    {
        try await withLoop { loop in
            let before = Holdings(of: loop)
            let (near, far) = try await kind.pair(on: loop)
            let text = "ab\r\n\r\ncd".bytes
            loop.spawn {
                try await near.write(Array(text[..<cut]))
                try await near.flush()
                try await loop.turns(4)
                try await near.write(Array(text[cut...]))
            }
            #expect(try await far.read(until: "\r\n\r\n", maxBytes: 64) == "ab\r\n\r\n".bytes)
            #expect(try await far.read(exactly: 2) == "cd".bytes)
            near.close()
            far.close()
            try await expectNothingLeft(since: before, on: loop)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func readUntilIsNotMisledByHalfADelimiter_J4(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            loop.spawn {
                for byte in "\r\r\n\r\r\n\rx\r\n\r\n".bytes {
                    try await near.write([byte])
                    try await near.flush()
                    try await loop.nextTurn()
                }
            }
            let line = try await far.read(until: "\r\n\r\n", maxBytes: 64)
            #expect(line == "\r\r\n\r\r\n\rx\r\n\r\n".bytes)
        }
    }

    /// Held: 3.2.19, 3.2.20.
    @Test(arguments: TransportKind.allCases)
    func readUntilAcceptsADelimiterThatEndsExactlyAtTheLimit_J4(
        over kind: TransportKind
    ) async throws {
        try await withLoop { loop in
            for (limit, isThere) in [(6, false), (6, true), (60, false), (60, true)] {
                let (near, far) = try await kind.pair(on: loop)
                let reading = isThere ? nil : loop.async { try await read(far, limit) }
                if !isThere { try await loop.turns(until: { far.isReading }) }
                try await near.write("abcd\r\nrest")
                if isThere { try await loop.turns(6) }
                let line = isThere ? try await read(far, limit) : try await reading?.value
                #expect(line == "abcd\r\n".bytes)
                #expect(try await far.read(exactly: 4) == "rest".bytes)
                near.close()
            }
        }
    }

    private nonisolated(nonsending) func read(
        _ stream: IOStream, _ limit: Int
    ) async throws -> [UInt8] {
        try await stream.read(until: "\r\n", maxBytes: limit)
    }

    /// Held: 3.2.19, 3.2.20, 3.2.21.
    @Test(arguments: TransportKind.allCases, ["abcdef", "abcde\n", "abcdefghijkl\n"])
    func readUntilClosesTheStreamPastItsLimit_J4(
        over kind: TransportKind, text: String
    ) async throws {
        try await withLoop { loop in
            for isThere in [false, true] {
                let (near, far) = try await kind.pair(on: loop)
                let reading = loop.async {
                    if isThere { try await loop.turns(8) }
                    return await streamFailure { try await far.read(until: "\n", maxBytes: 5) }
                }
                try await loop.turns(2)
                try await near.write(text)
                #expect(try await reading.value == .unsatisfiableRead)
                #expect(far.isClosed)
                near.close()
            }
        }
    }

    @Test(arguments: TransportKind.allCases)
    func whatWasWrittenBeforeAReadPastItsLimitIsSent_J4(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let echo = loop.async {
                for try await line in far.lines(maxBytes: 5, keepingEnds: true) {
                    try await far.write(line)
                }
            }
            let sent = "ab\ncd\n".bytes
            try await near.write(sent + [UInt8](repeating: 65, count: 100_000))
            #expect(try await near.readToEnd() == sent)
            #expect(await streamFailure { try await echo.value } == .unsatisfiableRead)
            near.close()
            try await far.closed()
        }
    }

    @Test(arguments: TransportKind.allCases)
    func readUntilObeysTheStreamsOwnLimitToo_J1(over kind: TransportKind) async throws {
        let options = streamOptions { $0.readBufferMax = 100 }
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop, options)
            try await near.write([UInt8](repeating: 65, count: 1_000))
            let code = await streamFailure { try await far.read(until: "\n", maxBytes: 100_000) }
            #expect(code == .unsatisfiableRead)
        }
    }

    @Test func readUntilGathersAMillionBytesInSmallPieces_J4() async throws {
        try await withLoop { loop in
            let (near, base) = MemoryTransport.pair(on: loop)
            let bytewise = ScriptedTransport(over: base, on: loop)
            bytewise.everyRead = .atMost(64)
            let writer = try IOStream(near, loop: loop)
            let reader = try IOStream(bytewise, loop: loop)
            let count = 1_000_000
            loop.spawn {
                try await writer.write([UInt8](repeating: 65, count: count) + [10])
            }
            let line = try await reader.read(until: "\n", maxBytes: count + 1)
            #expect(line.count == count + 1)
            #expect(bytewise.readCalls <= count / 64 + 1_000)
        }
    }

    /// Held: 3.2.2, 3.2.7.
    @Test(arguments: TransportKind.allCases)
    func readToEndReturnsEverythingAndThenNothing_J6(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var random = SeededGenerator(seed: 6)
            let bytes = random.bytes(300_000)
            loop.spawn {
                try await near.write(bytes)
                near.close()
            }
            #expect(try await far.readToEnd() == bytes)
            #expect(try await far.readToEnd() == [])
        }
    }

    @Test(arguments: TransportKind.allCases)
    func readToEndStopsAtTheStreamsLimit_J6(over kind: TransportKind) async throws {
        let options = streamOptions { $0.readBufferMax = 1_000 }
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop, options)
            loop.spawn {
                try await near.write([UInt8](repeating: 1, count: 5_000))
                near.close()
            }
            #expect(await streamFailure { try await far.readToEnd() } == .bufferFull)
            #expect(try await far.read(exactly: 1_000).count == 1_000)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func chunksDeliverEverythingInOrder(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var random = SeededGenerator(seed: 7)
            let bytes = random.bytes(200_000)
            loop.spawn {
                try await near.write(bytes)
                near.close()
            }
            var got: [UInt8] = []
            for try await chunk in far.chunks {
                #expect(!chunk.isEmpty && chunk.count <= 65_536)
                got += chunk
            }
            #expect(got == bytes)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func linesComeWithoutTheirEndsAndTheLastNeedsNone(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            loop.spawn {
                try await near.write("one\ntwo\r\n\n\r\nlast")
                near.close()
            }
            var lines: [String] = []
            for try await line in far.lines { lines.append(String(decoding: line, as: UTF8.self)) }
            #expect(lines == ["one", "two", "", "", "last"])
        }
    }

    @Test(arguments: TransportKind.allCases)
    func linesKeepTheirEndsOnRequestAndObeyTheirLimit(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            loop.spawn { try await near.write("ab\r\ncd\nmuch too long\n") }
            var lines: [[UInt8]] = []
            let code = await streamFailure {
                for try await line in far.lines(maxBytes: 6, keepingEnds: true) {
                    lines.append(line)
                }
            }
            #expect(lines == ["ab\r\n".bytes, "cd\n".bytes])
            #expect(code == .unsatisfiableRead)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func aSecondReaderIsRefusedAndTheFirstGoesOn_J7(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let first = loop.async { try await far.read(exactly: 2) }
            try await loop.turns(2)
            #expect(far.isReading)
            #expect(await streamFailure { try await far.read(exactly: 1) } == .readPending)
            #expect(await streamFailure { try await far.read(until: "\n") } == .readPending)
            #expect(await streamFailure { try await far.readToEnd() } == .readPending)
            try await near.write("ab")
            #expect(try await first.value == "ab".bytes)
            #expect(!far.isReading)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func aReadAboveTheStreamsLimitIsRefused_J1(over kind: TransportKind) async throws {
        let options = streamOptions { $0.readBufferMax = 10 }
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop, options)
            try await near.write("0123456789")
            #expect(await streamFailure { try await far.read(exactly: 11) } == .bufferFull)
            #expect(try await far.read(exactly: 10) == "0123456789".bytes)
        }
    }

    /// Held: 3.2.9.
    @Test(arguments: TransportKind.allCases)
    func bytesBeforeTheEndStayReadable(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("abc")
            near.close()
            try await near.closed()
            #expect(await streamFailure { try await far.read(exactly: 4) } == .endOfStream)
            #expect(await streamFailure { try await far.read(until: "\n") } == .endOfStream)
            #expect(try await far.read(upTo: 2) == "ab".bytes)
            #expect(try await far.read(exactly: 1) == "c".bytes)
            #expect(await streamFailure { try await far.read(upTo: 1) } == .endOfStream)
        }
    }

    /// Held: 3.2.6.
    @Test(arguments: TransportKind.withReset)
    func aResetIsNoEndOfStream_J15(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let reader = loop.async { await failure { try await far.readToEnd() } }
            try await loop.turns(3)
            #expect(far.isReading)
            near.abort()
            let error = try await reader.value as? StreamError
            #expect(error?.code == .closed)
            #expect((error?.cause as? SystemError)?.isDisconnect == true)
            #expect(far.isClosed)
        }
    }

    @Test(arguments: TransportKind.withReset)
    func chunksThrowOnAReset_J15(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("abc")
            var got = 0
            let reader = loop.async {
                await streamFailure { for try await chunk in far.chunks { got += chunk.count } }
            }
            try await loop.turns(until: { got == 3 })
            try await loop.nextTurn()
            near.abort()
            #expect(try await reader.value == .closed)
        }
    }

    @Test(.enabled(if: pollerTellsFailuresUnasked), arguments: TransportKind.promptWithReset)
    func whatCameBeforeAResetStaysReadableWithoutAReader_J16(over kind: TransportKind) async throws
    {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("last words")
            try await near.flush()
            try await loop.turns(5)
            near.abort()
            try await far.closed()
            #expect(try await far.read(exactly: 10) == "last words".bytes)
            #expect(await streamFailure { try await far.read(upTo: 1) } == .closed)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func cancellingAReadLeavesTheStreamUsable(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("ab")
            for number in 0..<5 {
                var error: (any Error)?
                let task = loop.spawn {
                    error = await failure {
                        switch number {
                        case 0: _ = try await far.read(exactly: 3)
                        case 1: _ = try await far.read(until: "\n")
                        case 2: _ = try await far.readToEnd()
                        case 3: for try await _ in far.lines {}
                        default: _ = try await far.read(exactly: 5)
                        }
                    }
                }
                try await loop.turns(6)
                #expect(far.isReading)
                task.cancel()
                await task.value
                #expect(error is CancellationError)
                #expect(!far.isReading)
            }
            try await near.write("c\n")
            #expect(try await far.read(until: "\n") == "abc\n".bytes)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func aTimeoutAroundAReadLeavesTheStreamUsable(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("ab")
            let error = await failure {
                try await withTimeout(.milliseconds(5)) { try await far.read(exactly: 3) }
            }
            #expect(error is TimeoutError)
            try await near.write("c")
            #expect(try await far.read(exactly: 3) == "abc".bytes)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func theBufferSatisfiesReadsOfAClosedStream_J7(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("ab\ncdef")
            #expect(try await far.read(until: "\n") == "ab\n".bytes)
            if kind.isSlow { try await loop.turns(5) }
            far.close()
            try await far.closed()
            if !kind.isSlow { #expect(try await far.read(exactly: 2) == "cd".bytes) }
            #expect(await streamFailure { try await far.read(exactly: 99) } == .closed)
        }
    }

    @Test func manySmallReadsOfOneBufferCostLinearTime() async throws {
        try await withLoop { loop in
            let size = 1 << 20
            let (near, far) = try MemoryStream.pair(on: loop, capacity: size)
            try await near.write([UInt8](repeating: 1, count: size))
            // All of it is in the stream's buffer; to move the rest at each read is quadratic.
            let error = await failure {
                try await withTimeout(.milliseconds(1)) { try await far.read(exactly: size + 1) }
            }
            #expect(error is TimeoutError)
            for _ in 0..<size / 16 { _ = try await far.read(exactly: 16) }
        }
    }
}
