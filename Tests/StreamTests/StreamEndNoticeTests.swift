import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// A peer that ends a connection which nobody reads: contract row J9.
@Suite struct StreamEndNoticeTests {
    @Test(arguments: TransportKind.allCases)
    func thePeersEndClosesAnIdleStreamWhoseClosingIsWaitedFor_J9(
        over kind: TransportKind
    ) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var calls = 0
            far.onClose { calls += 1 }
            try await loop.turns(3)
            #expect(calls == 0)
            near.close()
            try await far.closed()
            try await loop.turns(3)
            #expect(calls == 1)
            #expect(far.closeReason?.code == .endOfStream)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func anEndThatCameBeforeTheCallbackIsNoticedToo_J9(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            near.endWriting()
            try await loop.turns(5)
            try await far.closed()
        }
    }

    @Test(arguments: TransportKind.allCases)
    func whatCameBeforeTheEndIsReadFirst_J9(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var isClosed = false
            far.onClose { isClosed = true }
            try await near.write("one\ntwo\n")
            near.close()
            try await near.closed()
            try await loop.turns(5)
            #expect(!isClosed)
            #expect(try await far.read(until: "\n") == "one\n".bytes)
            try await loop.turns(5)
            #expect(!isClosed)
            #expect(try await far.read(until: "\n") == "two\n".bytes)
            try await loop.turns(until: { isClosed })
            #expect(try await far.readToEnd() == [])
        }
    }

    @Test(arguments: TransportKind.allCases)
    func whatAWaitingReaderTookIsFollowedByTheEnd_J9(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var isClosed = false
            far.onClose { isClosed = true }
            let line = loop.async { try await far.read(until: "\n") }
            try await loop.turns(until: { far.isReading })
            try await near.write("last\n")
            near.close()
            #expect(try await line.value == "last\n".bytes)
            try await loop.turns(until: { isClosed })
        }
    }

    /// The peer has nothing more to say, and goes on reading what it is sent.
    @Test(arguments: TransportKind.allCases)
    func anEndThatCameWhileBytesWereUnsentIsNoticedBehindThem_J9(
        over kind: TransportKind
    ) async throws {
        try await withLoop { loop in
            loop.limits.streamBytesMax = 65_536
            let (near, far) = try await kind.pair(on: loop)
            let count = kind.isSlow ? 50_000 : 1_000_000
            var isClosed = false
            far.onClose { isClosed = true }
            near.endWriting()
            // Few enough for a socket to take them all, a share in each turn.
            try far.enqueue([UInt8](repeating: 1, count: count))
            let came = try await withTimeout(.seconds(20)) { try await near.readToEnd() }
            #expect(came.count == count)
            #expect(far.closeReason?.code == .endOfStream)
            try await loop.turns(until: { isClosed })
        }
    }

    @Test(arguments: TransportKind.allCases)
    func whoeverReadsTheEndMayStillAnswer_J9(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            far.onClose {}
            try await near.write("question")
            near.endWriting()
            #expect(try await far.readToEnd() == "question".bytes)
            try await loop.turns(5)
            try await far.write("answer")
            far.close()
            #expect(try await near.readToEnd() == "answer".bytes)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func halfOpenStreamsStayOpenWhereTheyMay_J9(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let options = streamOptions { $0.allowsHalfOpen = true }
            let (near, far) = try await kind.pair(on: loop, options)
            far.onClose {}
            near.endWriting()
            try await loop.turns(8)
            try await far.write("still here")
            #expect(try await near.read(exactly: 10) == "still here".bytes)
        }
    }
}
