import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Reading into the caller's memory and lending bytes: conformance list 3.2, 25 and 28-31.
@Suite struct StreamBorrowTests {
    /// Held: 3.2.28.
    @Test(arguments: TransportKind.allCases)
    func readIntoFillsTheCallersArrayAndLeavesTheRest_28(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            loop.spawn {
                try await near.write("abc")
                try await loop.turns(3)
                try await near.write("defgh")
            }
            var buffer = [UInt8](repeating: 0, count: 5)
            let count = try await far.read(into: &buffer)
            #expect(count == 5)
            #expect(buffer == "abcde".bytes)
            #expect(try await far.read(exactly: 3) == "fgh".bytes)
        }
    }

    /// Held: 3.2.28.
    @Test(arguments: TransportKind.allCases)
    func readIntoIsSatisfiedByWhatIsBuffered_28(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("line\nabcdef")
            _ = try await far.read(until: "\n")
            var buffer = [UInt8](repeating: 0, count: 4)
            try await far.read(into: &buffer)
            #expect(buffer == "abcd".bytes)
            #expect(try await far.read(exactly: 2) == "ef".bytes)
        }
    }

    /// Held: 3.2.29.
    @Test(arguments: TransportKind.allCases)
    func aPartialReadIntoReturnsWhatIsThere_29(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("abc")
            var buffer = [UInt8](repeating: 0x2E, count: 8)
            var got: [UInt8] = []
            while got.count < 3 {
                let count = try await far.read(into: &buffer, partial: true)
                #expect(count > 0)
                got += buffer[..<count]
            }
            #expect(got == "abc".bytes)
            near.close()
        }
    }

    /// Held: 3.2.30.
    @Test(arguments: TransportKind.allCases)
    func aReadIntoNothingReturnsAtOnce_30(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var buffer: [UInt8] = []
            let count = try await far.read(into: &buffer)
            #expect(count == 0)
            near.close()
        }
    }

    @Test(arguments: TransportKind.allCases)
    func whatAReadIntoGaveUpOnCanStillBeRead(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("abc")
            var buffer = [UInt8](repeating: 0, count: 8)
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.milliseconds(20)) { _ = try await far.read(into: &buffer) }
            }
            near.endWriting()
            let code = await streamFailure { _ = try await far.read(into: &buffer) }
            #expect(code == .endOfStream)
            #expect(try await far.readToEnd() == "abc".bytes)
        }
    }

    /// What it has taken must be readable again when it fails, and the stream holds no more.
    @Test(arguments: TransportKind.prompt)
    func aReadIntoMoreThanTheStreamMayHoldIsRefused_J1(over kind: TransportKind) async throws {
        let options = streamOptions { $0.readBufferMax = 1_000 }
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop, options)
            var buffer = [UInt8](repeating: 0, count: 1_001)
            try await near.write([UInt8](repeating: 1, count: 999))
            #expect(await streamFailure { try await far.read(into: &buffer) } == .bufferFull)
            buffer.removeLast()
            let reading = loop.async {
                var buffer = [UInt8](repeating: 0, count: 1_000)
                await #expect(throws: TimeoutError.self) {
                    try await withTimeout(.milliseconds(20)) {
                        _ = try await far.read(into: &buffer)
                    }
                }
            }
            try await reading.value
            #expect(far.unparsedBytes == 999)
            try await near.write([UInt8](repeating: 1, count: 5_000))
            #expect(try await far.read(into: &buffer) == 1_000)
            #expect(buffer == [UInt8](repeating: 1, count: 1_000))
        }
    }

    /// It gives nothing back, so it needs no room in the stream.
    @Test(arguments: TransportKind.prompt)
    func aPartialReadIntoTakesMoreThanTheStreamMayHold(over kind: TransportKind) async throws {
        let options = streamOptions { $0.readBufferMax = 1_000 }
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop, options)
            var random = SeededGenerator(seed: 12)
            let sent = random.bytes(50_000)
            loop.spawn {
                try await near.write(sent)
                near.endWriting()
            }
            var buffer = [UInt8](repeating: 0, count: 20_000)
            var got: [UInt8] = []
            while got.count < sent.count {
                let count = try await far.read(into: &buffer, partial: true)
                got += buffer[..<count]
                #expect(far.unparsedBytes <= 1_000)
            }
            #expect(got == sent)
        }
    }

    /// Held: 3.2.31.
    @Test(arguments: TransportKind.allCases, 0..<3)
    func mixedReadsKeepTheBytesIntact_31(over kind: TransportKind, seed: Int) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var random = SeededGenerator(seed: UInt64(seed))
            let size = kind.isSlow ? 65_536 : 1_048_576
            let sent = random.bytes(size)
            loop.spawn {
                try await near.write(sent)
                near.close()
            }
            var got: [UInt8] = []
            while got.count < sent.count {
                let count = min(Int.random(in: 1...8_192, using: &random), sent.count - got.count)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: got += try await far.read(exactly: count)
                case 1: got += try await far.read(upTo: count)
                case 2:
                    try await far.read(atLeast: count) { bytes in
                        bytes.withUnsafeBytes { got += $0[..<count] }
                        return count
                    }
                default:
                    var buffer = [UInt8](repeating: 0, count: count)
                    let partial = Bool.random(using: &random)
                    let filled = try await far.read(into: &buffer, partial: partial)
                    got += buffer[..<filled]
                }
            }
            #expect(got == sent)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func lentBytesThatWereNotUsedComeAgain(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("abcdef")
            let used = try await far.read(atLeast: 6) { bytes in
                #expect(bytes.byteCount == 6)
                return 2
            }
            #expect(used == 2)
            struct Refusal: Error {}
            await #expect(throws: Refusal.self) {
                try await far.read(atLeast: 4) { _ in throw Refusal() }
            }
            #expect(try await far.read(exactly: 4) == "cdef".bytes)
        }
    }

    @Test func aWriteThatFailsInALentReadLeavesTheBytesAlone() async throws {
        try await withLoop { loop in
            let (left, right) = MemoryTransport.pair(on: loop)
            let scripted = ScriptedTransport(over: right, on: loop)
            let near = try IOStream(left, loop: loop)
            let far = try IOStream(scripted, loop: loop)
            try await near.write("abcdef")
            try await near.flush()
            scripted.writes = [.fail(SystemError(errno: 32, operation: "send"))]
            try await far.read(atLeast: 6) { bytes in
                try far.enqueue([1])
                far.sendNow()
                #expect(bytes.unsafeLoad(fromByteOffset: 5, as: UInt8.self) == "f".bytes[0])
                return 3
            }
            #expect(try await far.read(exactly: 3) == "def".bytes)
            try await far.closed()
        }
    }

    @Test(arguments: TransportKind.allCases)
    func anOptionKeepsAStreamOpenPastItsLimit(over kind: TransportKind) async throws {
        let options = streamOptions { $0.staysOpenPastLimit = true }
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop, options)
            try await near.write("abcdefgh\n")
            let code = await streamFailure { try await far.read(until: "\n", maxBytes: 5) }
            #expect(code == .unsatisfiableRead)
            #expect(!far.isClosed)
            #expect(try await far.read(until: "\n", maxBytes: 16) == "abcdefgh\n".bytes)
        }
    }

    @Test func piecesArriveInOrderAndLeaveInOneCall() async throws {
        try await withLoop { loop in
            let (left, right) = MemoryTransport.pair(on: loop, capacity: 1 << 20)
            let counting = ScriptedTransport(over: left, on: loop)
            let near = try IOStream(counting, loop: loop)
            let far = try IOStream(right, loop: loop)
            let pieces = [5, 8_192, 0, 1, 16_384].enumerated().map { index, size in
                [UInt8](repeating: UInt8(index), count: size)
            }
            try await near.write(pieces: pieces)
            try await near.flush()
            #expect(counting.writeCalls == 1)
            #expect(try await far.read(exactly: 24_582) == pieces.flatMap { $0 })
        }
    }
}
