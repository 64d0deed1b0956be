@testable import MessagePack
import Testing

struct ScannerTests {
    static func scan(
        _ bytes: [UInt8], _ scanner: inout MessagePackScanner
    ) throws -> MessagePackScanner.Progress {
        try bytes.withUnsafeBytes { try scanner.scan($0) }
    }

    static func length(_ bytes: [UInt8]) throws -> MessagePackScanner.Progress {
        var scanner = MessagePackScanner()
        return try scan(bytes, &scanner)
    }

    /// `[0, 5, "sum", [1, 2]]`
    static let call: [UInt8] = [0x94, 0x00, 0x05, 0xa3, 0x73, 0x75, 0x6d, 0x92, 0x01, 0x02]

    @Test func scannerFindsTheEndOfACallWithMoreBytesBehindIt() throws {
        #expect(try Self.length(Self.call) == .complete(10))
        #expect(try Self.length(Self.call + Self.call) == .complete(10))
        #expect(try Self.length([]) == .incomplete)
    }

    @Test(arguments: FormatVectors.all)
    func scannerFedByteByByteAgreesWithTheWhole(vector: FormatVector) throws {
        let bytes = vector.bytes
        #expect(try Self.length(bytes + [0xc0]) == .complete(bytes.count))
        for prefix in [[], Array(nestedArrays(6).dropLast())] {
            let whole = prefix + bytes
            var scanner = MessagePackScanner()
            for end in 0..<whole.count {
                #expect(try Self.scan(Array(whole[..<end]), &scanner) == .incomplete)
                #expect(scanner.lengthMin <= whole.count)
            }
            #expect(try Self.scan(whole, &scanner) == .complete(whole.count))
            #expect(try Self.scan(whole, &scanner) == .complete(whole.count))
        }
    }

    @Test func scannerStartsAnewAfterReset() throws {
        var scanner = MessagePackScanner()
        #expect(try Self.scan(Array(Self.call.dropLast()), &scanner) == .incomplete)
        #expect(try Self.scan(Self.call, &scanner) == .complete(10))
        scanner.reset()
        #expect(try Self.scan([0x07, 0x94], &scanner) == .complete(1))
        scanner.reset()
        #expect(try Self.scan([], &scanner) == .incomplete)
    }

    @Test func scannerLooksAtEachByteOnceHoweverTheMessageIsCut() throws {
        var message: [UInt8] = [0xdc, 0x03, 0xe8]
        for _ in 0..<1000 { message += Self.call }
        var scanner = MessagePackScanner()
        for end in 0..<message.count {
            #expect(try Self.scan(Array(message[..<end]), &scanner) == .incomplete)
        }
        #expect(try Self.scan(message, &scanner) == .complete(message.count))
        // Each head once, and the first byte of the array's again while its length was missing.
        #expect(scanner.examinedCount <= message.count + 2)
    }

    @Test func aLongStringIsNotScanned() throws {
        let bytes: [UInt8] = [0xc6, 0, 0x10, 0, 0]
        var scanner = MessagePackScanner()
        #expect(try Self.scan(bytes, &scanner) == .incomplete)
        #expect(scanner.lengthMin == 5 + 0x10_0000)
        for count in stride(from: 5, to: 0x10_0005, by: 0x8000) {
            let part = bytes + [UInt8](repeating: 0xc1, count: count - 5)
            #expect(try Self.scan(part, &scanner) == .incomplete)
        }
        #expect(scanner.examinedCount == 5)
    }

    @Test func scannerAcceptsNestingOf64AndRefuses65() throws {
        #expect(try Self.length(nestedArrays(64)) == .complete(64))
        #expect(code { _ = try Self.length(nestedArrays(65)) } == .nestingTooDeep)
        var scanner = MessagePackScanner()
        for end in 1...64 {
            let progress = try Self.scan(Array(nestedArrays(65)[..<end]), &scanner)
            #expect(progress == .incomplete)
        }
        #expect(code { _ = try Self.scan(nestedArrays(65), &scanner) } == .nestingTooDeep)
        #expect(code { _ = try Self.scan(nestedArrays(65), &scanner) } == .nestingTooDeep)
    }

    @Test func scannerCountsNestingRightWhereverTheMessageIsCut() throws {
        let half = [0x92] + nestedArrays(62) + nestedArrays(62)
        let message = [0x92] + half + half
        let tooDeep = [0x92] + half + [0x92] + nestedArrays(62) + nestedArrays(63)
        for (whole, isTooDeep) in [(message, false), (tooDeep, true)] {
            var scanner = MessagePackScanner()
            for end in 0..<message.count {
                #expect(try Self.scan(Array(whole[..<end]), &scanner) == .incomplete)
                // Another one, so that the first does not live on what it left on the stack.
                var other = MessagePackScanner()
                _ = try Self.scan([UInt8](repeating: 0x99, count: 60), &other)
            }
            if isTooDeep {
                #expect(code { _ = try Self.scan(whole, &scanner) } == .nestingTooDeep)
            } else {
                #expect(try Self.scan(whole, &scanner) == .complete(whole.count))
            }
        }
    }

    @Test func scannerRefusesTheByteThatIsNeverUsed() {
        #expect(code { _ = try Self.length([0xc1]) } == .malformed)
        #expect(code { _ = try Self.length([0x92, 0x00, 0xc1]) } == .malformed)
    }

    @Test func scannerRefusesWhatCanNeverFit() throws {
        let bombs: [[UInt8]] = [
            [0xdd, 0xff, 0xff, 0xff, 0xff], [0xdf, 0xff, 0xff, 0xff, 0xff],
            [0xdb, 0xff, 0xff, 0xff, 0xff], [0xc6, 0xff, 0xff, 0xff, 0xff],
            [0xc9, 0xff, 0xff, 0xff, 0xff, 0x00], [0xc6, 0x01, 0x00, 0x00, 0x00],
        ]
        for bomb in bombs {
            #expect(code { _ = try Self.length(bomb) } == .lengthTooLarge)
            #expect(code { _ = try Self.length([0x91] + bomb) } == .lengthTooLarge)
        }
    }

    @Test func scannerRefusesTheFirstByteAboveItsLimit() throws {
        var fits = MessagePackScanner(bytesMax: 10)
        #expect(try Self.scan(Self.call, &fits) == .complete(10))
        var tooLong = MessagePackScanner(bytesMax: 9)
        #expect(code { _ = try Self.scan(Self.call, &tooLong) } == .lengthTooLarge)
        // Twelve levels of fifteen elements each need more than 100 bytes altogether.
        var scanner = MessagePackScanner(bytesMax: 100)
        let levels = [UInt8](repeating: 0x9f, count: 12)
        #expect(code { _ = try Self.scan(levels, &scanner) } == .lengthTooLarge)
    }
}
