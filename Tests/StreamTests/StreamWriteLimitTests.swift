import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// What bounds the writes that wait: contract row J2.
@Suite struct StreamWriteLimitTests {
    enum Way: CaseIterable {
        case bytes, text, pieces, flushedBytes, flushedText, flushedPieces

        nonisolated(nonsending) func write(_ count: Int, to stream: IOStream) async throws {
            let bytes = [UInt8](repeating: 65, count: count)
            switch self {
            case .bytes: try await stream.write(bytes)
            case .text: try await stream.write(bytes.text)
            case .pieces: try await stream.write(pieces: [bytes, [], bytes])
            case .flushedBytes: try await stream.writeAndFlush(bytes)
            case .flushedText: try await stream.writeAndFlush(bytes.text)
            case .flushedPieces: try await stream.writeAndFlush(pieces: [bytes, bytes])
            }
        }

        var pieces: Int { self == .pieces || self == .flushedPieces ? 2 : 1 }
    }

    /// Who tries again and again, and waits for a while each time, as with `withTimeout`.
    @Test(arguments: Way.allCases)
    func writesWhoseWaitsAreGivenUpAreBounded_J2(way: Way) async throws {
        try await withLoop { loop in
            let options = streamOptions {
                $0.highWaterMark = 20_000
                $0.lowWaterMark = 10_000
                $0.writeBufferMax = 100_000
            }
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 1_000, options: options)
            let size = 30_000 / way.pieces
            var errors: [any Error] = []
            for _ in 0..<9 {
                let writer = loop.async { try await way.write(size, to: near) }
                try await loop.nextTurn()
                writer.cancel()
                if let error = await failure(of: { try await writer.value }) {
                    errors.append(error)
                }
            }
            // The fourth finds less than the limit unsent and may exceed it.
            #expect(near.unsentBytes == 119_000)
            #expect(errors.count == 9 && errors[..<4].allSatisfy { $0 is CancellationError })
            #expect(errors[4...].allSatisfy { ($0 as? StreamError)?.code == .bufferFull })
            // There is room again as soon as no more than the limit is unsent.
            _ = try await far.read(exactly: 21_000)
            try await loop.turns { near.unsentBytes <= 98_000 }
            let writer = loop.async { try await way.write(size, to: near) }
            #expect(try await far.read(exactly: 129_000).count == 129_000)
            try await writer.value
        }
    }

    @Test func oneWriteMayBeLongerThanTheLimit_J2() async throws {
        try await withLoop { loop in
            let options = streamOptions { $0.writeBufferMax = 1_000 }
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 100, options: options)
            let writer = loop.async {
                try await near.write([UInt8](repeating: 1, count: 50_000))
                try await near.writeAndFlush(pieces: [[2], [UInt8](repeating: 3, count: 50_000)])
            }
            #expect(try await far.read(exactly: 100_001).count == 100_001)
            try await writer.value
        }
    }

    @Test func whoWaitsForItsWritesIsNeverRefused_J2() async throws {
        try await withLoop { loop in
            // The marks are as they were set for larger streams.
            let options = streamOptions { $0.writeBufferMax = 1_000 }
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 100, options: options)
            let writer = loop.async {
                for _ in 0..<200 { try await near.write([UInt8](repeating: 1, count: 300)) }
            }
            #expect(try await far.read(exactly: 60_000).count == 60_000)
            try await writer.value
        }
    }

    @Test func anEmptyWriteIsTakenBeyondTheLimit_J2() async throws {
        try await withLoop { loop in
            let options = streamOptions { $0.writeBufferMax = 1_000 }
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 100, options: options)
            let writer = loop.async { try await near.write([UInt8](repeating: 1, count: 5_000)) }
            try await loop.turns { near.isWriting }
            try await near.writeAndFlush([])
            try await near.writeAndFlush(pieces: [[], []])
            #expect(await streamFailure { try await near.writeAndFlush("x") } == .bufferFull)
            near.close()
            #expect(await streamFailure { try await near.write("x") } == .closed)
            #expect(try await far.readToEnd().count == 5_000)
            try await writer.value
        }
    }

    /// Who sets one mark alone means it.
    @Test(arguments: [16_384, 0])
    func aHighWaterMarkBelowTheLowOneCounts_J2(mark: Int) async throws {
        try await withLoop { loop in
            let options = streamOptions { $0.highWaterMark = mark }
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 100, options: options)
            let writer = loop.async {
                try await near.write([UInt8](repeating: 1, count: mark + 200))
                try await near.write([UInt8](repeating: 1, count: 200))
            }
            try await loop.turns(10)
            #expect(!writer.isDone)
            #expect(near.unsentBytes == mark + 100)
            #expect(try await far.read(exactly: mark + 400).count == mark + 400)
            try await writer.value
        }
    }
}
