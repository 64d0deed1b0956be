import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// No connection keeps the others waiting: the bounds of a turn.
@Suite struct FairnessTests {
    /// Always has more to read, up to a number of reads that no fair turn gets near.
    private final class FloodTransport: Transport {
        private(set) var reads = 0
        private(set) var bytes = 0
        var descriptor: Int32? { nil }
        var onReady: ((IOEvents) -> Void)?

        func read(into buffer: UnsafeMutableRawBufferPointer) throws -> TransportRead {
            reads += 1
            guard reads < 50_000 else { return .wouldBlock }
            bytes += buffer.count
            return .bytes(buffer.count)
        }
        func write(_ bytes: UnsafeRawBufferPointer) throws -> Int { bytes.count }
        func shutdownWrite() {}
        func takePendingError() -> SystemError? { nil }
        func close() {}
        func abort() {}
    }

    private enum Reader: CaseIterable {
        case reads, chunks, exact, lent, intoArray, consumer, closing

        func start(_ stream: IOStream, _ loop: IOLoop) {
            switch self {
            case .reads:
                loop.spawn { while true { _ = try await stream.read(upTo: 1_000) } }
            case .chunks:
                loop.spawn { for try await _ in stream.chunks {} }
            case .exact:
                loop.spawn { while true { _ = try await stream.read(exactly: 3 << 20) } }
            case .lent:
                loop.spawn {
                    while true { _ = try await stream.read(atLeast: 3 << 20) { $0.byteCount } }
                }
            case .intoArray:
                loop.spawn {
                    var array = [UInt8](repeating: 0, count: 3 << 20)
                    while true { try await stream.read(into: &array) }
                }
            case .consumer:
                stream.consume(onBytes: { $0.count }, onEnd: { _ in })
            case .closing:
                stream.close(lingering: .seconds(3_600))
            }
        }
    }

    @Test(arguments: Reader.allCases)
    private func aFloodingConnectionDoesNotStarveAnother(reader: Reader) async throws {
        try await withLoop { loop in
            loop.limits.streamBytesMax = 1 << 20
            let flood = FloodTransport()
            let stream = try IOStream(flood, loop: loop)
            reader.start(stream, loop)
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
            #expect(flood.bytes <= (turns + 1) * loop.limits.streamBytesMax)
        }
    }

    /// Events go on to come while a stream waits for its next share.
    @Test(arguments: Reader.allCases)
    private func aFloodSchedulesNoMoreWorkFromTurnToTurn(reader: Reader) async throws {
        try await withLoop { loop in
            loop.limits.streamBytesMax = 1 << 20
            let flood = FloodTransport()
            let stream = try IOStream(flood, loop: loop)
            reader.start(stream, loop)
            func tell() {
                flood.onReady?(.read)
                loop.addCallback(tell)
            }
            tell()
            try await loop.turns(200)
            let before = loop.metrics
            try await loop.turns(50)
            let since = loop.metrics.since(before)
            #expect(flood.reads > 200)
            #expect(since.callbacks <= 6 * since.turns)
        }
    }

    /// A peer that takes all it is given does not keep the loop sending.
    @Test func aStreamSendsItsShareOfATurn() async throws {
        try await withLoop { loop in
            loop.limits.streamBytesMax = 100_000
            let sink = SinkTransport()
            let stream = try IOStream(sink, loop: loop)
            for _ in 0..<1_000 { try stream.enqueue([UInt8](repeating: 1, count: 20_000)) }
            let before = loop.turnNumber
            var excess = 0
            while stream.unsentBytes > 0 {
                try await loop.nextTurn()
                let turns = Int(loop.turnNumber - before) + 1
                excess = max(excess, sink.written - turns * 100_000)
            }
            #expect(excess == 0)
            #expect(sink.written == 20_000_000)
        }
    }

    /// However long the array is that was written.
    @Test(arguments: [false, true])
    func aStreamSendsItsShareOfOneLargeWrite(inPieces: Bool) async throws {
        try await withLoop { loop in
            loop.limits.streamBytesMax = 100_000
            let sink = SinkTransport()
            let stream = try IOStream(sink, loop: loop)
            if inPieces { try stream.enqueue("head") }
            try stream.enqueue([UInt8](repeating: 1, count: 5_000_000))
            let before = loop.turnNumber
            var excess = 0
            while stream.unsentBytes > 0 {
                try await loop.nextTurn()
                let turns = Int(loop.turnNumber - before) + 1
                excess = max(excess, sink.written - turns * 100_000)
            }
            #expect(excess == 0)
            #expect(sink.calls <= 52)
        }
    }

    /// Nor does a task that writes to such a peer keep the others from running.
    @Test func aTaskThatWritesWithoutEndSendsItsShareOfATurn() async throws {
        try await withLoop { loop in
            let sink = SinkTransport()
            let stream = try IOStream(sink, loop: loop)
            let block = [UInt8](repeating: 1, count: 20_000)
            loop.spawn {
                while sink.written < 1_000_000_000, !stream.isClosed {
                    try? await stream.write(block)
                }
            }
            let turnBefore = loop.turnNumber
            try await loop.turns(20)
            let turns = Int(loop.turnNumber - turnBefore)
            #expect(sink.written > 10 * loop.limits.streamBytesMax)
            #expect(sink.written <= (turns + 1) * loop.limits.streamBytesMax)
            stream.close()
        }
    }

    /// Takes whatever it is given.
    private final class SinkTransport: Transport {
        private(set) var written = 0
        private(set) var calls = 0
        var descriptor: Int32? { nil }
        var onReady: ((IOEvents) -> Void)?

        func read(into buffer: UnsafeMutableRawBufferPointer) -> TransportRead { .wouldBlock }
        func write(_ bytes: UnsafeRawBufferPointer) -> Int { write([bytes]) }
        func write(_ pieces: [UnsafeRawBufferPointer]) -> Int {
            let count = pieces.reduce(0) { $0 + $1.count }
            written += count
            calls += 1
            return count
        }
        func shutdownWrite() {}
        func takePendingError() -> SystemError? { nil }
        func close() {}
        func abort() {}
    }
}
