import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// That a delimiter is looked for in linear time: contract row J4, list 3.2, 12.
@Suite struct DelimiterSearchTests {
    private static let piece = 64
    private static let pieces = 2_000

    /// A piece that begins like the delimiters of these tests and goes on otherwise.
    private static let filler = Array("\r".utf8) + [UInt8](repeating: 0x78, count: piece - 1)

    /// Held: 3.2.12.
    @Test(arguments: ["\n", "\r\n", "\r\n--a boundary--\r\n"])
    func aScannerLooksAtEachByteAboutOnce_J4_3_2_12(delimiter: String) {
        var scanner = DelimiterScanner(delimiter.bytes)
        var bytes: [UInt8] = []
        for _ in 0..<Self.pieces {
            bytes += Self.filler
            #expect(bytes.withUnsafeBytes { scanner.find(in: $0) } == nil)
            // Nothing has come, and it is asked again.
            #expect(bytes.withUnsafeBytes { scanner.find(in: $0) } == nil)
        }
        bytes += delimiter.bytes
        #expect(bytes.withUnsafeBytes { scanner.find(in: $0) } == bytes.count)
        let again = (2 * Self.pieces + 1) * (delimiter.utf8.count - 1)
        #expect(scanner.lookedAt <= bytes.count + again)
        // That it counts at all.
        #expect(scanner.lookedAt >= bytes.count)
    }

    /// Held: 3.2.12.
    @Test(arguments: ["\n", "\r\n--a boundary--\r\n"])
    func aSearchIsAskedAgainAndAgainAndGoesOnWhereItWas_J4_3_2_12(delimiter: String) {
        let count = Self.pieces * Self.piece
        let search = DelimiterSearch(delimiter.bytes, maxBytes: 2 * count)
        var buffer = ReadBuffer()
        for _ in 0..<Self.pieces {
            Self.filler.withUnsafeBytes { buffer.append($0) }
            #expect(!search.isDone(in: buffer))
        }
        delimiter.bytes.withUnsafeBytes { buffer.append($0) }
        for _ in 0..<3 { #expect(search.isDone(in: buffer)) }
        #expect(search.found == count + delimiter.utf8.count)
        let again = (Self.pieces + 1) * (delimiter.utf8.count - 1)
        #expect(search.scanner.lookedAt <= buffer.count + again)
        #expect(search.scanner.lookedAt >= buffer.count)
    }

    /// Held: 3.2.12.
    @Test func aReadGoesOnWithOneSearchWhateverWakesIt_J4_3_2_12() async throws {
        try await withLoop { loop in
            // One piece in each turn.
            loop.limits.streamBytesMax = Self.piece
            let (near, base) = MemoryTransport.pair(on: loop)
            let small = ScriptedTransport(over: base, on: loop)
            small.everyRead = .atMost(Self.piece)
            let writer = try IOStream(near, loop: loop)
            let reader = try IOStream(small, loop: loop)
            let delimiter = "\r\n\r\n"
            let reading = loop.async { try await reader.read(until: delimiter, maxBytes: 1 << 20) }
            for _ in 0..<Self.pieces { try writer.enqueue(Self.filler) }
            // The writer's share is not what this is about.
            while writer.isWriting {
                writer.sendNow()
                try await loop.nextTurn()
            }
            try await loop.turns(until: { reader.unparsedBytes == Self.pieces * Self.piece })
            try await loop.turns(3)
            guard case .delimiter(let search) = reader.readGoal else {
                return #expect(Bool(false), "the read waits for something else")
            }
            // A piece is asked about a few times: by its event, and when its turn has come.
            let again = 4 * (delimiter.utf8.count - 1)
            #expect(search.scanner.lookedAt <= Self.pieces * (Self.piece + again))
            #expect(search.scanner.lookedAt >= (Self.pieces - 1) * Self.piece)
            try await writer.write(delimiter)
            #expect(try await reading.value.count == Self.pieces * Self.piece + 4)
        }
    }
}
