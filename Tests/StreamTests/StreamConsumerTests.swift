import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Bytes in callbacks: what the RPC peers read with.
@Suite struct StreamConsumerTests {
    /// Takes four bytes at a time, or as many as it is told, and notes what it gets.
    private final class Quads {
        var taken: [[UInt8]] = []
        var ends: [StreamError.Code?] = []
        var failsAt = Int.max
        var size = 4

        func start(on stream: IOStream, afterEach: @escaping () -> Void = {}) {
            stream.consume(
                onBytes: { [self] bytes in
                    var used = 0
                    while bytes.count - used >= size {
                        if taken.count == failsAt { throw Broken() }
                        taken.append(Array(bytes[used..<used + size]))
                        used += size
                        afterEach()
                    }
                    return used
                },
                onEnd: { [self] error in ends.append((error as? StreamError)?.code) })
        }

        var text: String { String(decoding: taken.joined(), as: UTF8.self) }
    }

    @Test(arguments: TransportKind.allCases)
    func theParserGetsEveryByteInOrderAndTheEndOnce(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let quads = Quads()
            quads.start(on: far)
            var random = SeededGenerator(seed: 21)
            let bytes = random.bytes(200_000)
            for start in stride(from: 0, to: bytes.count, by: 999) {
                try await near.write(Array(bytes[start..<min(start + 999, bytes.count)]))
            }
            near.close()
            try await loop.turns(until: { !quads.ends.isEmpty })
            try await loop.turns(3)
            #expect(Array(quads.taken.joined()) == bytes)
            #expect(quads.ends == [.endOfStream])
            // Who closes pipes ends both directions.
            #expect(!far.isClosed || kind == .pipe)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func bytesThatWereReadAheadGoToTheParserFirst(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("hello\nabcdefgh")
            #expect(try await far.read(until: "\n") == "hello\n".bytes)
            let quads = Quads()
            quads.start(on: far)
            try await loop.turns(until: { quads.taken.count == 2 })
            #expect(quads.text == "abcdefgh")
            #expect(await streamFailure { try await far.read(upTo: 1) } == .readPending)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func aPausedParserGetsNothingAndHoldsThePeerBack(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let quads = Quads()
            quads.size = 1_000
            far.pauseConsuming()
            quads.start(on: far)
            try near.enqueue([UInt8](repeating: 65, count: kind.surfeit))
            try await loop.turns(50)
            #expect(quads.taken.isEmpty)
            #expect(near.isWriting)
            far.resumeConsuming()
            try await loop.turns(until: { quads.taken.count == kind.surfeit / 1_000 })
        }
    }

    @Test(arguments: TransportKind.promptWithReset)
    func aResetReachesTheParserAfterTheBytesBeforeIt(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("abcdefgh")
            try await near.flush()
            near.abort()
            let quads = Quads()
            quads.start(on: far)
            try await loop.turns(until: { !quads.ends.isEmpty })
            #expect(quads.text == "abcdefgh")
            #expect(quads.ends == [.closed])
        }
    }

    @Test func aParserThatThrowsIsToldAndGetsNoMore() async throws {
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop)
            let quads = Quads()
            quads.failsAt = 2
            quads.start(on: far)
            try await near.write("aaaabbbbccccdddd")
            try await loop.turns(until: { !quads.ends.isEmpty })
            try await near.write("eeee")
            try await loop.turns(5)
            #expect(quads.text == "aaaabbbb")
            #expect(quads.ends.count == 1)
        }
    }

    @Test func aParserMayCloseItsStream() async throws {
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop)
            let quads = Quads()
            quads.start(on: far) { far.abort() }
            try await near.write("aaaa")
            try await far.closed()
            try await loop.turns(3)
            #expect(quads.text == "aaaa")
            #expect(quads.ends == [.closed])
        }
    }

    @Test func aParserMayMakeAnotherStreamRead() async throws {
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop)
            let (otherNear, otherFar) = try MemoryStream.pair(on: loop)
            let other = Quads()
            other.start(on: otherFar)
            let quads = Quads()
            quads.start(on: far) {
                guard other.taken.isEmpty else { return }
                // Bytes that no event has told of yet.
                try? otherNear.enqueue("zzzzyyyyxxxx".bytes)
                otherNear.sendNow()
                otherFar.consumeNow()
            }
            try await near.write("aaaabbbbcccc")
            try await loop.turns(until: { quads.taken.count == 3 })
            #expect(quads.text == "aaaabbbbcccc")
            #expect(other.text == "zzzzyyyyxxxx")
        }
    }

    @Test func aParserThatMakesItsOwnStreamReadGetsEveryByteOnce() async throws {
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop)
            let quads = Quads()
            quads.start(on: far) {
                if quads.taken.count < 4 { far.consumeNow() }
            }
            // What is left behind is parsed from the stream's own buffer, what comes whole is not.
            for piece in ["aa", "aabbbb", "cccc"] {
                try await near.write(piece)
                try await near.flush()
                try await loop.turns(3)
            }
            #expect(quads.text == "aaaabbbbcccc")
        }
    }

    @Test func aWriteThatFailsInTheParserDoesNotCallItFromInside() async throws {
        try await withLoop { loop in
            let (nearEnd, farEnd) = MemoryTransport.pair(on: loop)
            let near = try IOStream(nearEnd, loop: loop)
            let scripted = ScriptedTransport(over: farEnd, on: loop)
            scripted.everyWrite = .fail(SystemError(errno: EPIPE, operation: "send"))
            let far = try IOStream(scripted, loop: loop)
            let quads = Quads()
            quads.start(on: far) {
                guard quads.taken.count < 9 else { return }
                try? far.enqueue("answer".bytes)
                far.sendNow()
            }
            try await near.write("aa")
            try await near.flush()
            try await loop.turns(3)
            try await near.write("aabbbbcccc")
            try await far.closed()
            try await loop.turns(3)
            #expect(quads.text == "aaaabbbbcccc")
            #expect(quads.ends == [.closed])
        }
    }
}
