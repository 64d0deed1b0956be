import Testing
import Updraft
import UpdraftTesting

/// No connection keeps the others waiting: the bounds of a turn.
@Suite struct FairnessTests {
    /// Always has more to read, up to a number of reads that no fair turn gets near.
    private final class FloodTransport: Transport {
        private(set) var reads = 0
        var descriptor: Int32? { nil }
        var onReady: ((IOEvents) -> Void)?

        func read(into buffer: UnsafeMutableRawBufferPointer) throws -> TransportRead {
            reads += 1
            return reads < 50_000 ? .bytes(buffer.count) : .wouldBlock
        }
        func write(_ bytes: UnsafeRawBufferPointer) throws -> Int { bytes.count }
        func shutdownWrite() {}
        func takePendingError() -> SystemError? { nil }
        func close() {}
        func abort() {}
    }

    private enum Reader: CaseIterable { case reads, chunks, consumer }

    @Test(arguments: Reader.allCases)
    private func aFloodingConnectionDoesNotStarveAnother(reader: Reader) async throws {
        try await withLoop { loop in
            loop.limits.streamBytesMax = 1 << 20
            let flood = FloodTransport()
            let stream = try IOStream(flood, loop: loop)
            switch reader {
            case .reads: loop.spawn { while true { _ = try await stream.read(upTo: 1_000) } }
            case .chunks: loop.spawn { for try await _ in stream.chunks {} }
            case .consumer: stream.consume(onBytes: { $0.count }, onEnd: { _ in })
            }
            let (near, far) = try MemoryStream.pair(on: loop)
            loop.spawn { for try await chunk in far.chunks { try await far.write(chunk) } }
            let turnBefore = loop.turnNumber
            loop.addCallback { flood.onReady?(.read) }
            try await loop.turns(3)
            #expect(flood.reads > 0)
            for _ in 0..<10 {
                try await near.write("ping")
                #expect(try await near.read(exactly: 4) == "ping".bytes)
            }
            let turns = Int(loop.turnNumber - turnBefore)
            #expect(turns < 60)
            // 16 reads of 64 KiB are a stream's share of a turn.
            #expect(flood.reads <= (turns + 1) * 17)
        }
    }
}
