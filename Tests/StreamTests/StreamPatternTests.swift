#if Regex
    import TestSupport
    import Testing
    import Updraft
    import UpdraftTesting

    /// Contract row J5 and conformance list 3.2, 22-24: needs the trait `Regex`.
    @Suite struct StreamPatternTests {
        @Test(arguments: TransportKind.allCases, 1...9)
        func aMatchIsFoundAcrossEveryCut_J5(over kind: TransportKind, cut: Int) async throws {
            let blankLine = try BytePattern(#"\r?\n\r?\n"#)
            try await withLoop { loop in
                let (near, far) = try await kind.pair(on: loop)
                let text = "ab\r\n\r\ncdef".bytes
                loop.spawn {
                    try await near.write(Array(text[..<cut]))
                    try await near.flush()
                    try await loop.turns(4)
                    try await near.write(Array(text[cut...]))
                }
                let head = try await far.read(untilMatching: blankLine, maxBytes: 64)
                #expect(head == "ab\r\n\r\n".bytes)
                #expect(try await far.read(exactly: 4) == "cdef".bytes)
            }
        }

        @Test(arguments: TransportKind.allCases)
        func theResultDoesNotDependOnTheCuts_J5(over kind: TransportKind) async throws {
            let number = try BytePattern("[0-9]+")
            try await withLoop { loop in
                let (near, far) = try await kind.pair(on: loop)
                loop.spawn {
                    for byte in "x1234,56".bytes {
                        try await near.write([byte])
                        try await near.flush()
                        try await loop.nextTurn()
                    }
                    near.endWriting()
                }
                #expect(try await far.read(untilMatching: number) == "x1234".bytes)
                // What could go on is ended by the end of the stream too.
                #expect(try await far.read(untilMatching: number) == ",56".bytes)
                #expect(
                    await streamFailure { try await far.read(untilMatching: number) }
                        == .endOfStream)
            }
        }

        /// Held: 3.2.22, 3.2.23.
        @Test(arguments: TransportKind.allCases)
        func aMatchWithinTheLimitIsFoundAndOneThatEndsExactlyThere_22_23(over kind: TransportKind)
            async throws
        {
            let end = try BytePattern("de[f]")
            for limit in [6, 64] {
                try await withLoop { loop in
                    let (near, far) = try await kind.pair(on: loop)
                    try await near.write("abcdef")
                    let bytes = try await far.read(untilMatching: end, maxBytes: limit)
                    #expect(bytes == "abcdef".bytes)
                }
            }
        }

        /// Held: 3.2.24.
        @Test(arguments: TransportKind.allCases, ["abcdef", "abcdeX", "abcdefghijklX"])
        func aMatchBeyondTheLimitClosesTheStream_24(over kind: TransportKind, text: String)
            async throws
        {
            let end = try BytePattern("X")
            try await withLoop { loop in
                let (near, far) = try await kind.pair(on: loop)
                try await near.write(text)
                let code = await streamFailure {
                    try await far.read(untilMatching: end, maxBytes: 5)
                }
                #expect(code == .unsatisfiableRead)
                #expect(far.isClosed)
            }
        }

        @Test func assertionsSeeWhatStandsBeforeAMatch() async throws {
            let comma = try BytePattern("(?<=b),")
            try await withLoop { loop in
                let (near, far) = try MemoryStream.pair(on: loop)
                loop.spawn {
                    for text in ["a", ",", "b", ",c"] {
                        try await near.write(text)
                        try await near.flush()
                        try await loop.turns(2)
                    }
                }
                #expect(try await far.read(untilMatching: comma) == "a,b,".bytes)
            }
        }

        @Test func aPatternThatTakesForEverIsGivenUp() async throws {
            let evil = try BytePattern("^(a|aa)+$")
            try await withLoop { loop in
                let (near, far) = try MemoryStream.pair(on: loop)
                try await near.write([UInt8](repeating: 0x61, count: 40) + "b".bytes)
                near.endWriting()
                let code = await streamFailure { try await far.read(untilMatching: evil) }
                #expect(code == .unsatisfiableRead)
            }
        }

        @Test func aRepeatedGroupMayBeLong() async throws {
            let group = try BytePattern("a(?:[^bc]|b)*(q|c)")
            let text = "a" + String(repeating: "xb", count: 30_000) + "c"
            try await withLoop { loop in
                let (near, far) = try MemoryStream.pair(on: loop)
                loop.spawn { try await near.write(text) }
                let match = try await far.read(untilMatching: group)
                #expect(match.elementsEqual(text.utf8))
            }
        }

        /// Who reads until there is no match would never come to an end, nor let others run.
        @Test func anEmptyMatchWhereTheStreamHasEndedIsItsEnd_J5() async throws {
            let line = try BytePattern(#"\n|\z"#)
            try await withLoop { loop in
                let (near, far) = try MemoryStream.pair(on: loop)
                try await near.write("a\nb")
                near.endWriting()
                #expect(try await far.read(untilMatching: line) == "a\n".bytes)
                #expect(try await far.read(untilMatching: line) == "b".bytes)
                let code = await streamFailure { try await far.read(untilMatching: line) }
                #expect(code == .endOfStream)
            }
        }

        @Test func aWrongPatternSaysWhatIsWrongAndWhere() {
            let error = #expect(throws: PatternError.self) { try BytePattern("ab(c") }
            #expect(error?.offset == 4)
            #expect(error?.description.contains("'ab(c'") == true)
        }
    }
#endif
