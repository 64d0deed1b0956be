import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Writing borrowed bytes: conformance list 3.2, 17 and 41.
@Suite struct StreamSpanTests {
    /// Held: 3.2.17.
    @Test(arguments: TransportKind.allCases, [1, 300, 4_096, 30_000])
    func viewsOfMemoryAreWrittenAndTheMemoryMayChange_3_2_17(
        over kind: TransportKind, size: Int
    ) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let reading = loop.async { try await far.readToEnd() }
            var random = SeededGenerator(seed: UInt64(size))
            var bytes = random.bytes(size + 2)
            var expected: [UInt8] = []
            for round in 0..<3 {
                try near.enqueue(bytes.span.extracting(1..<size + 1).bytes)
                expected += bytes[1...size]
                for index in bytes.indices { bytes[index] &+= UInt8(round + 1) }
            }
            near.close()
            #expect(try await reading.value == expected)
        }
    }

    /// Held: 3.2.41.
    @Test(arguments: TransportKind.allCases)
    func typedViewsCountBytes_3_2_41(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let numbers: [UInt32] = (0..<2_000).map { $0 &* 0x9E37_79B9 }
            let before = near.unsentBytes
            try near.enqueue(numbers.span.bytes)
            #expect(near.unsentBytes - before == 8_000)
            try near.enqueue(Array("end".utf8).span.bytes)
            let bytes = try await far.read(exactly: 8_000)
            #expect(bytes == numbers.withUnsafeBytes { Array($0) })
            #expect(try await far.read(exactly: 3) == "end".bytes)
        }
    }

    @Test func theLimitOfUnsentBytesCountsBytes_3_2_41() async throws {
        try await withLoop { loop in
            let options = streamOptions { $0.writeBufferMax = 40 }
            let (near, far) = try MemoryStream.pair(on: loop, options: options)
            let numbers = [UInt32](repeating: 7, count: 11)
            let code = await streamFailure { try near.enqueue(numbers.span.bytes) }
            #expect(code == .bufferFull)
            #expect(near.unsentBytes == 0)
            try near.enqueue(numbers.span.extracting(first: 10).bytes)
            #expect(try await far.read(exactly: 40).count == 40)
            near.close()
            try await near.closed()
            let closed = await streamFailure {
                try near.enqueue(numbers.span.extracting(first: 1).bytes)
            }
            #expect(closed == .closed)
        }
    }
}
