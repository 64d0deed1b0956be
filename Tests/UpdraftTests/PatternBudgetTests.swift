#if Regex
    import CTestMemory
    import TestSupport
    import Testing
    import UpdraftTesting

    @testable import Updraft

    /// How much of what may be a match is looked at how often: contract row J5.
    @Suite struct PatternBudgetTests {
        /// A long match that is open until its last byte, whatever is known of the pattern.
        struct Long: Sendable, CustomTestStringConvertible {
            let pattern: String
            let head: String
            let tail: String
            var fill = "x"
            /// Where the match ends, counted from behind the last byte.
            var end = 0

            func bytes(_ count: Int) -> [UInt8] {
                let rest = count - head.utf8.count - tail.utf8.count
                return (head + String(repeating: fill, count: rest) + tail).bytes
            }

            var testDescription: String { pattern }

            static let afterC = Long(pattern: "a[^bc]*(b|c)", head: "a", tail: "c")

            static let all = [
                Long(pattern: "[0-9]+", head: "7", tail: ",", fill: "7", end: -1),
                Long(pattern: "a.*b", head: "ab", tail: "b\n", end: -1),
                Long(
                    pattern: "a.*b", head: "a\(String(repeating: "x", count: 1_000))b", tail: "b\n",
                    end: -1),
                afterC,
                Long(pattern: "(?s)<.*?>", head: "<", tail: ">"),
                Long(pattern: "<[^!]*>;|<[^!]*!", head: "<>", tail: "!"),
                Long(pattern: #"(a|b+)=\1x*[,;]"#, head: "a=a", tail: ";"),
                Long(pattern: #"\Gax*(b|c)"#, head: "a", tail: "c"),
            ]
        }

        /// What a read may look at: 16 times the bytes and 64 KiB, each byte once more in search of
        /// one that a match needs, all once more when no more can come; and a byte each 150 ns.
        private static func allowed(_ count: Int, in time: Duration = .zero) -> Int {
            18 * count + 65_536 + Int(time / .nanoseconds(150))
        }

        @Test(arguments: Long.all)
        func bytesThatComeOneByOneAtOnceCostLinearWork_J5(long: Long) throws {
            for count in [4_096, 65_536] {
                let search = PatternSearch(
                    try BytePattern(long.pattern), maxBytes: 1 << 20, clock: ManualClock())
                let bytes = long.bytes(count)
                var found = BytePattern.Search.never
                for count in long.head.utf8.count...bytes.count {
                    found = bytes[..<count].withUnsafeBytes { search.look(at: $0, isEnd: false) }
                }
                if case .none = found {
                    found = bytes.withUnsafeBytes { search.look(at: $0, isEnd: true) }
                }
                guard case .match(let end) = found else {
                    Issue.record("\(long.pattern): \(found)")
                    continue
                }
                #expect(end == bytes.count + long.end)
                #expect(search.lookedAt >= bytes.count)
                #expect(search.lookedAt <= Self.allowed(bytes.count))
            }
        }

        @Test(arguments: Long.all, [10, 200, 1_000])
        func bytesThatComeInTimeCostNoMoreThanTheTimeAllows_J5(
            long: Long, microseconds: Int
        ) throws {
            let clock = ManualClock()
            let begin = clock.now()
            let search = PatternSearch(
                try BytePattern(long.pattern), maxBytes: 1 << 20, clock: clock)
            let bytes = long.bytes(4_096)
            var isPutOff = false
            for count in 1...bytes.count {
                clock.advance(by: .microseconds(microseconds))
                let found = bytes[..<count].withUnsafeBytes { search.look(at: $0, isEnd: false) }
                if search.putOffUntil != nil { isPutOff = true }
                #expect(
                    search.lookedAt <= Self.allowed(count, in: begin.duration(to: clock.now())))
                if case .match = found { #expect(count == bytes.count) }
            }
            // 4 KiB are paid for by 0.6 ms: who takes longer over a byte has each looked at.
            if microseconds >= 1_000 { #expect(!isPutOff) }
        }

        @Test func whatComesInLargePiecesIsNeverPutOff_J5() throws {
            for (size, piece) in [(65_536, 4_096), (16_384, 1_024), (360, 1)] {
                let search = PatternSearch(
                    try BytePattern("a[^bc]*(b|c)"), maxBytes: 1 << 20, clock: ManualClock())
                let bytes = Long.afterC.bytes(size)
                for count in stride(from: piece, through: size, by: piece) {
                    _ = bytes[..<count].withUnsafeBytes { search.look(at: $0, isEnd: false) }
                    #expect(search.putOffUntil == nil)
                }
            }
        }

        // MARK: Streams

        /// Two streams, one of which waits for a match that the other has sent in single bytes all
        /// but the end of, so that looks are put off; no time has passed.
        private struct Dribble {
            let loop: IOLoop
            let near: IOStream
            let far: IOStream
            let search: PatternSearch
            let bytes: [UInt8]
            let begin: LoopInstant

            nonisolated(nonsending) init(
                _ long: Long, _ count: Int = 8_192, maxBytes: Int = 65_536, on loop: IOLoop
            ) async throws {
                self.loop = loop
                (near, far) = try MemoryStream.pair(on: loop)
                search = PatternSearch(
                    try BytePattern(long.pattern), maxBytes: maxBytes, clock: loop.clock)
                bytes = long.bytes(count)
                begin = loop.now
            }

            nonisolated(nonsending) func send(_ bytes: ArraySlice<UInt8>) async throws {
                for byte in bytes {
                    try await near.write([byte])
                    try await near.flush()
                    try await loop.nextTurn()
                }
            }

            /// Sends all, and is in the midst of a pause then.
            nonisolated(nonsending) func sendAll() async throws {
                try await send(bytes[...])
                try await loop.turns(4)
                #expect(search.putOffUntil != nil)
                #expect(passed == .zero)
            }

            var passed: Duration { begin.duration(to: loop.now) }
        }

        @Test(arguments: Long.all)
        func whoSendsByteByByteAndWaitsGetsTheMatchWithinTenMilliseconds_J5(long: Long) async throws
        {
            try await withVirtualLoop { loop in
                let peer = try await Dribble(long, 16_384, on: loop)
                let timers = loop.metrics.timeoutsPending
                let reading = loop.async { try await peer.far.read(peer.search) }
                try await peer.send(peer.bytes[...])
                #expect(peer.passed == .zero)
                let count = try await reading.value.count
                #expect(count == peer.bytes.count + long.end)
                #expect(peer.passed <= .milliseconds(10))
                #expect(
                    peer.search.lookedAt
                        <= PatternBudgetTests.allowed(peer.bytes.count, in: peer.passed))
                #expect(loop.metrics.timeoutsPending == timers)
            }
        }

        @Test func theEndOfTheStreamDecidesAtOnce_J5() async throws {
            try await withVirtualLoop { loop in
                let peer = try await Dribble(Long.all[0], on: loop)
                let reading = loop.async { try await peer.far.read(peer.search) }
                try await peer.send(peer.bytes.dropLast())
                peer.near.endWriting()
                #expect(try await reading.value.count == peer.bytes.count - 1)
                #expect(peer.passed == .zero)
            }
        }

        @Test func whatWasPutOffIsMatchedBeforeAFailureIsTold_J5() async throws {
            try await withVirtualLoop { loop in
                let peer = try await Dribble(Long.afterC, on: loop)
                let reading = loop.async { try await peer.far.read(peer.search) }
                try await peer.sendAll()
                peer.near.abort()
                #expect(try await reading.value == peer.bytes)
                #expect(peer.far.isClosed)
                #expect(peer.passed == .zero)
            }
        }

        @Test(arguments: [8_191, 8_192])
        func theLimitDecidesAtOnce_J5(maxBytes: Int) async throws {
            try await withVirtualLoop { loop in
                let peer = try await Dribble(Long.afterC, maxBytes: maxBytes, on: loop)
                var bytes: [UInt8]?
                let reading = loop.async {
                    await streamFailure { bytes = try await peer.far.read(peer.search) }
                }
                try await peer.send(peer.bytes.prefix(maxBytes))
                if maxBytes == peer.bytes.count {
                    #expect(try await reading.value == nil)
                    #expect(bytes == peer.bytes)
                } else {
                    #expect(try await reading.value == .unsatisfiableRead)
                }
                #expect(peer.passed == .zero)
            }
        }

        @Test func aReadCancelledWhilePutOffLosesNothing_J5() async throws {
            try await withVirtualLoop { loop in
                let peer = try await Dribble(Long.afterC, on: loop)
                let timers = loop.metrics.timeoutsPending
                var isCancelled = false
                let reading = loop.spawn {
                    let error = await failure { try await peer.far.read(peer.search) }
                    isCancelled = error is CancellationError
                }
                try await peer.sendAll()
                reading.cancel()
                try await loop.turns(until: { isCancelled })
                #expect(!peer.far.isReading)
                try await loop.nextTurn()
                #expect(loop.metrics.timeoutsPending == timers)
                let pattern = try BytePattern(Long.afterC.pattern)
                #expect(try await peer.far.read(untilMatching: pattern) == peer.bytes)
                #expect(peer.passed == .zero)
            }
        }

        @Test func aReadThatTimesOutWhilePutOffLosesNothing_J5() async throws {
            try await withVirtualLoop { loop in
                let peer = try await Dribble(Long.afterC, on: loop)
                let reading = loop.async {
                    await failure {
                        try await withTimeout(.microseconds(1)) {
                            try await peer.far.read(peer.search)
                        } as [UInt8]
                    }
                }
                try await peer.sendAll()
                #expect(try await reading.value is TimeoutError)
                #expect(peer.passed == .microseconds(1))
                let pattern = try BytePattern(Long.afterC.pattern)
                #expect(try await peer.far.read(untilMatching: pattern) == peer.bytes)
            }
        }

        @Test func oneTaskReadsAlsoWhilePutOffAndClosingEndsIt_J5() async throws {
            try await withVirtualLoop { loop in
                let peer = try await Dribble(Long.afterC, on: loop)
                let reading = loop.async {
                    await streamFailure { try await peer.far.read(peer.search) }
                }
                try await peer.sendAll()
                #expect(
                    await streamFailure { try await peer.far.read(upTo: 1) } == .readPending)
                peer.far.close()
                #expect(try await reading.value == .closed)
                #expect(peer.passed == .zero)
                // What came before stays readable.
                let pattern = try BytePattern(Long.afterC.pattern)
                #expect(try await peer.far.read(untilMatching: pattern) == peer.bytes)
            }
        }

        /// What it went through to see that there is no match yet is the loop's, one after another.
        @Test func aSearchThatWaitsHoldsNoMemoryOfItsLook_J5() throws {
            let pattern = try BytePattern("(a|b)*(c|d)")
            let matcher = try #require(PatternMatcher())
            let bytes = [UInt8](repeating: 0x61, count: 65_000)
            var searches: [PatternSearch] = []
            let before = Int(tm_allocated_bytes())
            for _ in 0..<20 {
                let search = PatternSearch(
                    pattern, maxBytes: 65_536, clock: ManualClock(), matcher: matcher)
                let found = bytes.withUnsafeBytes { search.look(at: $0, isEnd: false) }
                guard case .none = found else {
                    Issue.record("\(found)")
                    return
                }
                searches.append(search)
            }
            #expect(Int(tm_allocated_bytes()) - before < 20 * 4_096)
            withExtendedLifetime(searches) {}
        }

        @Test func aMatchThatIsTooDeepIsGivenUp_J5() async throws {
            let pattern = try BytePattern("(a|b)*(c|d)")
            try await withVirtualLoop { loop in
                let (near, far) = try MemoryStream.pair(on: loop, capacity: 1 << 20)
                try await near.write([UInt8](repeating: 0x61, count: 900_000))
                let code = await streamFailure {
                    try await far.read(untilMatching: pattern, maxBytes: 1 << 20)
                }
                #expect(code == .unsatisfiableRead)
            }
        }

        // MARK: The loop's time

        /// Here a millisecond passes whenever it is looked at.
        private final class PassingClock: LoopClock {
            private(set) var instant = LoopInstant(nanoseconds: 1_000_000_000)

            func now() -> LoopInstant {
                instant = instant.advanced(by: .milliseconds(1))
                return instant
            }
        }

        /// Reads of one loop for which no bytes pay.
        private struct Unpaid {
            let clock = PassingClock()
            let matcher: PatternMatcher
            var searches: [PatternSearch] = []

            init(_ count: Int) throws {
                matcher = try #require(PatternMatcher())
                for _ in 0..<count { try add() }
            }

            mutating func add() throws {
                searches.append(
                    PatternSearch(
                        try BytePattern("[0-9]+"), maxBytes: 10_000, clock: clock, matcher: matcher,
                        budget: LookBudget(free: 0, perByte: 0)))
            }

            func look(_ search: PatternSearch, at count: Int) -> Bool {
                let before = search.lookedAt
                let bytes = [UInt8](repeating: 0x31, count: count)
                _ = bytes.withUnsafeBytes { search.look(at: $0, isEnd: false) }
                return search.lookedAt > before
            }
        }

        /// A look takes a millisecond here.
        @Test(arguments: [1, 7, 40])
        func readsThatWaitHaveATenthOfTheTimeTogether_J5(count: Int) throws {
            let reads = try Unpaid(count)
            let begin = reads.clock.instant
            var looks = [Int](repeating: 0, count: count)
            for round in 1...10_000 / count {
                for (index, search) in reads.searches.enumerated()
                where reads.look(search, at: round) { looks[index] += 1 }
            }
            let looksAll = looks.reduce(0, +)
            let passed = Int(begin.duration(to: reads.clock.instant) / .milliseconds(1))
            // How long the first look of each takes is not known before.
            #expect(looksAll <= passed / 10 + count)
            #expect(looksAll >= passed / 20)
            let (least, most) = (looks.min() ?? 0, looks.max() ?? 0)
            #expect(least * 2 >= most)
        }

        @Test func aReadThatEndsLeavesItsTurnToOthers_J5() throws {
            var reads = try Unpaid(100)
            // How long a look takes is known then.
            for search in reads.searches { while !reads.look(search, at: 1) {} }
            for search in reads.searches { _ = reads.look(search, at: 2) }
            try reads.add()
            let last = reads.searches.removeLast()
            #expect(reads.look(last, at: 1) == false)
            let far = try #require(last.putOffUntil)
            #expect(reads.clock.instant.duration(to: far) > .milliseconds(500))

            reads.searches.removeAll()
            try reads.add()
            #expect(reads.look(reads.searches[0], at: 1))
        }
    }
#endif
