import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// The points of conformance list 3.2 that the suites of reads, writes and closes do not have
/// already, over every transport.
@Suite struct StreamConformanceTests {
    private static let response = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello world!"

    /// Answers one request, then closes.
    private nonisolated(nonsending) func serveOnce(_ stream: IOStream) async throws {
        let request = try await stream.read(until: "\r\n\r\n")
        #expect(request.text.hasPrefix("GET / "))
        try await stream.write(Self.response)
        stream.close()
    }

    /// Held: 3.2.1.
    @Test(arguments: TransportKind.allCases)
    func aResponseFollowedByACloseIsReadableByItsLength_3_2_1_J19(
        over kind: TransportKind
    ) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            loop.spawn { try await serveOnce(far) }
            try await near.write("GET / HTTP/1.1\r\n\r\n")
            let head = try await near.read(until: "\r\n\r\n").text
            let length = head.split(separator: " ").last.flatMap { Int($0.prefix { $0.isNumber }) }
            #expect(try await near.read(exactly: #require(length)).text == "hello world!")
            near.close()
            try await near.closed()
        }
    }

    /// Held: 3.2.2.
    @Test(arguments: TransportKind.allCases)
    func readToEndGivesTheWholeResponse_3_2_2(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            loop.spawn { try await serveOnce(far) }
            try await near.write("GET / HTTP/1.0\r\n\r\n")
            #expect(try await near.readToEnd().text == Self.response)
        }
    }

    /// Held: 3.2.3.
    @Test(arguments: TransportKind.allCases)
    func readsOfNineThenNoneThenThreeBytes_3_2_3(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await far.write("HTTP/1.1 200 OK")
            #expect(try await near.read(exactly: 9) == "HTTP/1.1 ".bytes)
            #expect(try await near.read(exactly: 0) == [])
            #expect(try await near.read(exactly: 3) == "200".bytes)
        }
    }

    /// Held: 3.2.6.
    @Test(arguments: TransportKind.allCases)
    func aPendingBigReadFailsWhenThePeerCloses_3_2_6(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let reading = loop.async {
                await streamFailure { try await near.read(exactly: 1_000_000) }
            }
            try await far.write("some")
            try await loop.turns(3)
            #expect(near.isReading)
            far.close()
            #expect(try await reading.value == .endOfStream)
            #expect(!near.isReading)
        }
    }

    /// Held: 3.2.7.
    @Test(arguments: TransportKind.allCases)
    func readToEndHasItsBytesBeforeAnyErrorAndALaterReadFailsAtOnce_3_2_7(
        over kind: TransportKind
    ) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await far.write("all there is")
            far.close()
            #expect(try await near.readToEnd() == "all there is".bytes)
            let turn = loop.turnNumber
            #expect(await streamFailure { try await near.read(exactly: 1) } == .endOfStream)
            #expect(loop.turnNumber == turn)
        }
    }

    /// Held: 3.2.9.
    @Test(arguments: TransportKind.allCases)
    func bufferedBytesAreReadOneByOneAfterThePeersClose_3_2_9(
        over kind: TransportKind
    ) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await far.write("12")
            #expect(try await near.read(exactly: 1) == "1".bytes)
            far.close()
            try await far.closed()
            try await loop.turns(5)
            #expect(try await near.read(exactly: 1) == "2".bytes)
            #expect(await streamFailure { try await near.read(exactly: 1) } == .endOfStream)
        }
    }

    /// Held: 3.2.10, 3.2.11.
    @Test("3.2.10, 11: more than the buffer holds", arguments: TransportKind.allCases)
    func whatIsLeftInTheKernelAtTheCloseIsDelivered_3_2_10_11(
        over kind: TransportKind
    ) async throws {
        try await withLoop { loop in
            let options = streamOptions { $0.readBufferMax = 2_048 }
            let (near, far) = try await kind.pair(on: loop, options)
            var random = SeededGenerator(seed: 10)
            let (line, rest) = (random.bytes(1_500).filter { $0 != 10 } + [10], random.bytes(4_000))
            try await far.write(line + rest)
            far.close()
            #expect(try await near.read(until: "\n") == line)
            try await far.closed()
            try await loop.turns(5)
            // The buffer is smaller than what came.
            #expect(near.unparsedBytes < 2_048)
            #expect(try await near.read(exactly: 100) == Array(rest[..<100]))
            #expect(near.unparsedBytes < 2_048)
            #expect(try await near.read(exactly: 2_000) == Array(rest[100..<2_100]))
            #expect(try await near.readToEnd() == Array(rest[2_100...]))
        }
    }

    /// Held: 3.2.12.
    @Test(arguments: TransportKind.prompt)
    func aDelimiterBehindFourMebibytesInSmallPiecesIsFound_3_2_12(
        over kind: TransportKind
    ) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let piece = [UInt8](repeating: 0x78, count: 1_024)
            loop.spawn {
                for _ in 0..<4_096 {
                    try await far.write(piece)
                    try await far.flush()
                }
                try await far.write("\r\n")
            }
            let line = try await near.read(until: "\r\n", maxBytes: 8 << 20)
            #expect(line.count == (4 << 20) + 2)
        }
    }

    /// Held: 3.2.13.
    @Test(
        "3.2.13: the delimiter in a second packet, together with the close",
        arguments: TransportKind.allCases)
    func aDelimiterThatComesWithTheCloseIsFound_3_2_13(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let reading = loop.async { try await near.read(until: "done") }
            try await far.write([UInt8](repeating: 0x78, count: 2_048))
            try await far.flush()
            try await loop.turns(5)
            #expect(near.isReading)
            try await far.write("done")
            far.close()
            #expect(try await reading.value.count == 2_052)
        }
    }

    /// Held: 3.2.14.
    @Test(arguments: TransportKind.allCases)
    func anEndWithoutTheDelimiterIsAnEnd_3_2_14(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let reading = loop.async {
                await streamFailure { try await near.read(until: "\n", maxBytes: 64) }
            }
            try await far.write("no newline")
            far.close()
            #expect(try await reading.value == .endOfStream)
            #expect(try await near.readToEnd() == "no newline".bytes)
        }
    }

    /// Held: 3.2.15.
    @Test(arguments: TransportKind.allCases)
    func theCloseCallbackFiresAlthoughAReadIsPending_3_2_15(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var calls = 0
            near.onClose { calls += 1 }
            let reading = loop.async { await streamFailure { try await near.read(until: "\n") } }
            try await loop.turns(3)
            near.close()
            #expect(calls == 0)
            #expect(try await reading.value == .closed)
            try await loop.turns(until: { calls > 0 })
            try await loop.turns(3)
            #expect(calls == 1)
            withExtendedLifetime(far) {}
        }
    }

    /// The read has the end; when nobody reads any more, the callback runs.
    /// Held: 3.2.15.
    @Test(arguments: TransportKind.allCases)
    func thePeersCloseEndsThePendingReadAndRunsTheCallback_3_2_15_J9(
        over kind: TransportKind
    ) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var calls = 0
            near.onClose { calls += 1 }
            let reading = loop.async { await streamFailure { try await near.read(until: "\n") } }
            try await loop.turns(until: { near.isReading })
            #expect(calls == 0)
            far.close()
            #expect(try await reading.value == .endOfStream)
            // Whoever read the end may answer, and closes.
            try await loop.turns(3)
            #expect(calls == 0)
            try await near.write("a last word")
            near.close()
            try await loop.turns(until: { calls > 0 })
            try await loop.turns(3)
            #expect(calls == 1)
        }
    }

    /// Held: 3.2.16.
    @Test(arguments: TransportKind.withReset)
    func theCloseCallbackIsNotEarlyAndComesOnce_3_2_16_J9(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var calls = 0
            near.onClose { calls += 1 }
            for number in 0..<3 {
                try await far.write("\(number)")
                #expect(try await near.read(exactly: 1) == "\(number)".bytes)
                try await loop.turns(4)
                #expect(calls == 0)
            }
            // Nobody reads or writes.
            far.abort()
            try await loop.turns(until: { calls > 0 })
            try await loop.turns(3)
            #expect(calls == 1)
        }
    }

    /// Held: 3.2.18.
    @Test(arguments: TransportKind.allCases)
    func partialReadsTakeWhatIsThereUpToTheirCount_3_2_18(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await far.write("hello\nworld")
            _ = try await near.read(until: "\n")
            #expect(try await near.read(upTo: 0) == [])
            var got = try await near.read(upTo: 2)
            #expect(kind.isSlow ? got.count <= 2 : got == "wo".bytes)
            var reads = 0
            while got.count < 5 {
                got += try await near.read(upTo: 50)
                reads += 1
            }
            #expect(got == "world".bytes)
            #expect(reads == 1 || kind.isSlow)
        }
    }

    /// Held: 3.2.25, 3.2.26.
    @Test("the buffer is never filled beyond its limit", arguments: TransportKind.allCases)
    func aFullBufferIsNotOverfilled_3_2_25_26_J1(over kind: TransportKind) async throws {
        let options = streamOptions { $0.readBufferMax = 10_000 }
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop, options)
            let line = [UInt8](repeating: 0x61, count: 1_023) + [0x0A]
            let writing = loop.async {
                for _ in 0..<100 { try await far.write(line) }
                far.close()
            }
            for number in 0..<100 {
                let isLine = number % 2 == 0
                let got =
                    isLine
                    ? try await near.read(until: "\n") : try await near.read(exactly: line.count)
                #expect(got == line)
                #expect(near.unparsedBytes <= 10_000)
            }
            try await writing.value
            #expect(try await near.readToEnd() == [])
        }
    }

    /// Held: 3.2.37.
    @Test(arguments: TransportKind.allCases)
    func everyWriteOfTenWritersCompletes_3_2_37(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let (rounds, size) = (kind.isSlow ? 5 : 1_000, 1_000)
            var done = 0
            var got = 0
            let reading = loop.async {
                for try await chunk in far.chunks { got += chunk.count }
            }
            try await loop.group { group in
                for number in 0..<10 {
                    group.spawn {
                        let bytes = [UInt8](repeating: UInt8(number), count: size)
                        for _ in 0..<rounds {
                            try await near.write(bytes)
                            try await near.flush()
                            done += 1
                        }
                    }
                }
            }
            near.close()
            try await reading.value
            #expect(done == 10 * rounds)
            #expect(got == done * size)
        }
    }
}
