#if Regex
    import TestSupport
    import Testing
    import UpdraftTesting

    @testable import Updraft

    /// How a match is looked for in bytes that grow: contract row J5.
    @Suite struct PatternSearchTests {
        /// Without anything left out: the first of the prefixes that decides it, whatever follows.
        private struct Decision: Equatable {
            var count: Int
            var end: Int?
        }

        private static let patterns = [
            "a[^b]*b", "(?i)a[^b]*B", "a.*b", "(?s)a.*?b1", #"\r?\n\r?\n"#, "[0-9]+", "1{3}", "1a+",
            "(?<=b),", #"(?i:a)b+,"#, "^a+b", "^a[^b]*b|1,", #"\Gab?,"#, "(?s).*?b,",
            #"\ba1\b"#, "a(?=[^,]*,)", "a(*COMMIT)b|1", #"1\Ga|b,"#, "(*NO_START_OPT)a[^b]*b",
            "(a|1)+b(*ACCEPT)",
            "(?m)^1.*$", "\n(?m)^[ab]", "(?m)[ab1]$\n(?!^b)", "\n(?m)^",
            "(?:a|(?i)B)1,b", "(*UTF)ä[^b]*b", "(*UTF)(?i)Ä+b", "(a|aa)+b|\n",
        ]

        private static func decision(_ pattern: BytePattern, _ bytes: [UInt8]) throws -> Decision? {
            let data = try #require(BytePattern.MatchData(pattern))
            let matcher = try #require(PatternMatcher())
            for count in 1...bytes.count {
                let found = bytes[..<count].withUnsafeBytes {
                    pattern.search($0, from: 0, isEnd: false, data, matcher)
                }
                if case .match(let end) = found { return Decision(count: count, end: end) }
            }
            return nil
        }

        private static func decision(
            _ pattern: BytePattern, _ bytes: [UInt8], piece: () -> Int
        ) -> Decision? {
            decision(pattern, bytes, LookBudget(), piece: piece, waits: { true })
        }

        /// - Parameter waits: Whether the peer waits for an answer when a look is put off.
        private static func decision(
            _ pattern: BytePattern, _ bytes: [UInt8], _ budget: LookBudget, piece: () -> Int,
            waits: () -> Bool
        ) -> Decision? {
            let clock = ManualClock()
            let search = PatternSearch(pattern, maxBytes: 1_000, clock: clock, budget: budget)
            var count = 0
            while count < bytes.count {
                count = min(count + piece(), bytes.count)
                repeat {
                    if let instant = search.putOffUntil {
                        clock.advance(by: clock.now().duration(to: instant))
                    }
                    let found = bytes[..<count].withUnsafeBytes {
                        search.look(at: $0, isEnd: false)
                    }
                    if case .match(let end) = found { return Decision(count: count, end: end) }
                } while search.putOffUntil != nil && (waits() || count == bytes.count)
            }
            return nil
        }

        /// A line, or the rest: behind the last byte there is an empty match.
        @Test(arguments: [(#"\n|\z"#, 3), (#"\r?\n|$"#, 3), ("x*$", 3), ("(?<=c)$", 3)])
        func whatEndsWithTheStreamMayBeEmpty_J5(text: String, end: Int) throws {
            let pattern = try BytePattern(text)
            for first in 0...3 {
                let search = PatternSearch(pattern, maxBytes: 100, clock: ManualClock())
                let bytes = "abc".bytes
                _ = bytes[..<first].withUnsafeBytes { search.look(at: $0, isEnd: false) }
                _ = bytes.withUnsafeBytes { search.look(at: $0, isEnd: false) }
                let found = bytes.withUnsafeBytes { search.look(at: $0, isEnd: true) }
                guard case .match(let place) = found else {
                    Issue.record("\(text): \(found)")
                    continue
                }
                #expect(place == end)
            }
        }

        @Test(arguments: ["(*UTF)^ä", "(*UTF)^.", #"(*UTF)^\X,"#])
        func anAnchoredPatternWaitsForItsFirstCharacter_J5(text: String) throws {
            let search = PatternSearch(try BytePattern(text), maxBytes: 100, clock: ManualClock())
            let bytes = "ä,".bytes
            var found = BytePattern.Search.never
            for count in 1...bytes.count {
                found = bytes[..<count].withUnsafeBytes { search.look(at: $0, isEnd: false) }
                if case .match = found { return }
            }
            Issue.record("\(text): \(found)")
        }

        /// Whatever is not looked at: the match is the same, and it is found as early.
        @Test(arguments: PatternSearchTests.patterns)
        func whatIsLeftOutChangesNothing_J5(text: String) throws {
            let pattern = try BytePattern(text)
            let nothing = LookBudget(free: 0, perByte: 1)
            var random = SeededGenerator(seed: 5)
            let letters = ["a", "a", "b", "1", ",", "\r", "\n", "A", "B", "ä", "Ä", "x"]
            var decided = 0
            for length in 1...400 {
                let letters = letters.prefix(length % 2 == 0 ? 5 : letters.count)
                let bytes = (0..<1 + length / 10)
                    .map { _ in letters.randomElement(using: &random) ?? "" }.joined().bytes
                let expected = try Self.decision(pattern, bytes)
                if expected != nil { decided += 1 }
                #expect(Self.decision(pattern, bytes, piece: { 1 }) == expected)
                let found = Self.decision(
                    pattern, bytes, piece: { Int.random(in: 1...7, using: &random) })
                #expect(found?.end == expected?.end)
                #expect((found?.count ?? 0) >= (expected?.count ?? 0))
                // What is put off is found by a peer that waits, or with what comes next.
                let awaited = Self.decision(
                    pattern, bytes, nothing, piece: { 1 }, waits: { true })
                #expect(awaited == expected)
                let late = Self.decision(
                    pattern, bytes, nothing, piece: { Int.random(in: 1...3, using: &random) },
                    waits: { Bool.random(using: &random) })
                #expect(late?.end == expected?.end)
            }
            #expect(decided > 10)
        }

        @Test(arguments: ["a[^b]*b", "a.*b", "(?i)A[^b]*B", "(?s)a.*?b[0-9]?", "^a[^b]*b"])
        func beforeTheByteThatEveryMatchNeedsEachIsLookedAtOnce_J5(text: String) throws {
            let search = PatternSearch(
                try BytePattern(text), maxBytes: 1 << 20, clock: ManualClock())
            var bytes = "a".bytes
            let count = 20_000
            while bytes.count < count {
                let found = bytes.withUnsafeBytes { search.look(at: $0, isEnd: false) }
                guard case .none = found else { return #expect(Bool(false), "\(found)") }
                bytes += "x".bytes
            }
            // In either case of a letter, if case does not matter; and once for nothing.
            #expect(search.lookedAt <= count)
            #expect(search.lookedAt >= count - 10)
            bytes += "b\n".bytes
            let found = bytes.withUnsafeBytes { search.look(at: $0, isEnd: false) }
            guard case .match(let end) = found else { return #expect(Bool(false), "\(found)") }
            #expect(end == count + 1)
            #expect(search.lookedAt <= 2 * bytes.count)
        }

        @Test func whatCanMatchNoMoreIsNotLookedAtAgain_J5() throws {
            let search = PatternSearch(
                try BytePattern("^a[^b]*(?:b|c)"), maxBytes: 1 << 20, clock: ManualClock())
            var bytes = "xa".bytes
            for _ in 0..<1_000 {
                _ = bytes.withUnsafeBytes { search.look(at: $0, isEnd: false) }
                bytes += "a".bytes
            }
            #expect(search.lookedAt <= 10)
        }

        /// The end, or a byte, behind the limit must not matter: it might have come later.
        @Test(arguments: [1, 2, 3, 100])
        func whatStandsBehindTheLimitDecidesNothing_J5(piece: Int) async throws {
            let number = try BytePattern("[0-9]+")
            for (text, isFound) in [("1234,", true), ("12345,", false), ("12345", false)] {
                try await withLoop { loop in
                    let (near, far) = try MemoryStream.pair(on: loop)
                    loop.spawn {
                        var rest = text.bytes[...]
                        while !rest.isEmpty {
                            try await near.write(Array(rest.prefix(piece)))
                            try await near.flush()
                            rest = rest.dropFirst(piece)
                            try await loop.turns(3)
                        }
                        near.endWriting()
                    }
                    if piece > 3 { try await loop.turns(8) }
                    if isFound {
                        let found = try await far.read(untilMatching: number, maxBytes: 5)
                        #expect(found == "1234".bytes)
                    } else {
                        let code = await streamFailure {
                            try await far.read(untilMatching: number, maxBytes: 5)
                        }
                        #expect(code == .unsatisfiableRead)
                    }
                }
            }
        }

        @Test func aPeerThatSendsByteByByteAndWaitsCostsLinearWork_J5() async throws {
            try await withLoop { loop in
                let (near, far) = try MemoryStream.pair(on: loop)
                let pattern = try BytePattern("a[^b]*b")
                let search = PatternSearch(pattern, maxBytes: 1 << 20, clock: ManualClock())
                let reading = loop.async { try await far.read(search) }
                let count = 3_000
                try await near.write("a")
                for _ in 2..<count {
                    try await near.write("x")
                    try await near.flush()
                    try await loop.nextTurn()
                }
                try await near.write("b")
                // It is there although nothing follows.
                #expect(try await reading.value.count == count)
                #expect(search.lookedAt <= 3 * count)
                #expect(search.lookedAt >= count)
            }
        }

        @Test func piecesThatAreThereAreLookedAtTogether_J5() async throws {
            try await withLoop { loop in
                let (near, far) = MemoryTransport.pair(on: loop, capacity: 1 << 18)
                let writer = try IOStream(near, loop: loop)
                let reader = try IOStream(far, loop: loop)
                // Four times what a stream receives at once.
                let count = 250_000
                let bytes = "a".bytes + [UInt8](repeating: 0x78, count: count - 2) + "c".bytes
                try writer.enqueue(bytes)
                try await writer.flush()
                try await loop.turns(3)
                // No byte that every match needs.
                let search = PatternSearch(
                    try BytePattern("a[^bc]*(b|c)"), maxBytes: 1 << 20, clock: ManualClock())
                #expect(try await reader.read(search).count == count)
                #expect(search.lookedAt <= count + 10)
            }
        }

        @Test func whatCameBeforeAFailureIsMatchedFirst_J5() async throws {
            try await withLoop { loop in
                let (near, far) = MemoryTransport.pair(on: loop, capacity: 1 << 18)
                let script = ScriptedTransport(over: far, on: loop)
                script.reads = [.pass, .fail(SystemError(errno: 104, operation: "recv"))]
                let writer = try IOStream(near, loop: loop)
                let reader = try IOStream(script, loop: loop)
                // As much as is received at once: it is followed by another attempt.
                let bytes = [UInt8](repeating: 0x78, count: BufferPool.readChunk - 1) + "c".bytes
                try writer.enqueue(bytes)
                try await writer.flush()
                try await loop.turns(3)
                let pattern = try BytePattern("c")
                #expect(try await reader.read(untilMatching: pattern, maxBytes: 1 << 20) == bytes)
                #expect(reader.isClosed)
            }
        }

        @Test func aCharacterMayBeCut_J5() async throws {
            let pattern = try BytePattern("(*UTF)ä+[é€]")
            try await withLoop { loop in
                let (near, far) = try MemoryStream.pair(on: loop)
                loop.spawn {
                    for byte in "ö€ää€x".bytes {
                        try await near.write([byte])
                        try await near.flush()
                        try await loop.turns(2)
                    }
                }
                #expect(try await far.read(untilMatching: pattern) == "ö€ää€".bytes)
            }
        }
    }
#endif
