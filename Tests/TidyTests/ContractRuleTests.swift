import Testing

/// What `ContractRule` reports, on pages and tests of a few lines.
@Suite struct ContractRuleTests {
    private let tests = [
        SourceFile(
            path: "Tests/UpdraftTests/LoopTests.swift",
            text: """
                @Suite struct LoopTests {
                    @Test func startsOnce_A9() {}
                    @Test(arguments: [1, 2])
                    func stopsTwice(number: Int) {}
                    func helper() {}
                    @Test func endsOnce_3_1_44() {}
                    /// Contract row 3.1.5.
                    @Test func endsTwice() {}
                    @Test("3.6, 2: a dialogue", arguments: [1])
                    func talks(number: Int) {}
                    @Test func races_3_4_22_23() {}
                    @Test("3.2-39, 40: a certificate") func checks() {}
                    @Test func waits_3_7() {}

                    /// It ends, too.
                    /// Held: 3.2.6, 7, J4.
                    @Test(arguments: [1])
                    func ends(
                        number: Int
                    ) {}
                    // @Test func commentedOut() {}
                }
                """),
        SourceFile(
            path: "Tests/Programs/test_echo.py",
            text: #"""
                def helper():
                    pass


                def test_it_echoes(start):
                    """3.6.1."""

                """#),
    ]

    private func messages(_ rows: String..., required: [String] = []) -> [String] {
        let head = "# Page\n\n| row | what holds | verdict | tests |\n|---|---|---|---|\n"
        let page = SourceFile(
            path: "docs/contract.md", text: head + rows.joined(separator: "\n") + "\n")
        return ContractRule.check(page: page, tests: tests, required: required) {
            $0 == "scripts/check-hops"
        }.map { "\($0.line): \($0.message)" }
    }

    @Test func rowsWithTestsThatExistAreHeld() {
        #expect(messages("| A1 | it starts | held | `LoopTests/startsOnce_A9` |").isEmpty)
        #expect(
            messages(
                "| A1 | it starts | held | `LoopTests/stopsTwice`, `test_echo.py::test_it_echoes` |"
            ).isEmpty)
        #expect(messages("| A1 | it stays | held | `scripts/check-hops` |").isEmpty)
    }

    @Test(arguments: [
        "LoopTests/startsTwice", "LoopTests/helper", "LoopTests/commentedOut",
        "OtherTests/startsOnce_A9", "startsOnce_A9", "test_echo.py::helper",
        "test_other.py::test_it_echoes", "scripts/gone", "README.md",
    ])
    func aTestThatThereIsNotIsReported(name: String) {
        let found = messages("| A1 | it starts | held | `\(name)` |")
        #expect(found == ["5: row A1 names the test \(name), which there is not"])
    }

    @Test func aRowThatIsHeldByNothingIsReported() {
        #expect(messages("| A1 | it starts | held |  |") == ["5: row A1 is held by no test"])
        let differs = "| A1 | it starts | differs: the language has none | |"
        #expect(messages(differs) == ["5: row A1 is held by no test"])
    }

    @Test(arguments: ["differs", "left out", "left out:", "differs: so so"])
    func aDifferenceWithoutAReasonIsReported(verdict: String) {
        let found = messages("| A2 | it starts | \(verdict) | `LoopTests/startsOnce_A9` |")
        #expect(found == ["5: row A2 does not say why"])
    }

    @Test func whatIsLeftOutWithAReasonNeedsNoTest() {
        #expect(messages("| A2 | it starts | left out: the language has none | |").isEmpty)
    }

    @Test(arguments: [
        ("3.1.44", "LoopTests/endsOnce_3_1_44"), ("3.1.5", "LoopTests/endsTwice"),
        ("3.6.2", "LoopTests/talks"), ("3.6.1", "test_echo.py::test_it_echoes"),
        ("3.7.l2", "LoopTests/waits_3_7"), ("3.1.7", "scripts/check-hops"),
        ("3.4.22", "LoopTests/races_3_4_22_23"), ("3.4.23", "LoopTests/races_3_4_22_23"),
        ("3.2.39", "LoopTests/checks"), ("3.2.40", "LoopTests/checks"),
    ])
    func aRowOfTheListsIsCitedByATestOfIts(row: String, test: String) {
        #expect(messages("| \(row) | it ends | held | `\(test)` |").isEmpty)
    }

    @Test(arguments: [
        ("3.1.4", "LoopTests/endsOnce_3_1_44"), ("3.1.44", "LoopTests/endsTwice"),
        ("3.1.5", "LoopTests/talks"), ("3.6.2", "test_echo.py::test_it_echoes"),
        ("3.7.l2", "LoopTests/startsOnce_A9"), ("3.4.2", "LoopTests/races_3_4_22_23"),
        ("3.2.3", "LoopTests/checks"),
    ])
    func aRowOfTheListsThatNoTestOfItsCitesIsReported(row: String, test: String) {
        let found = messages("| \(row) | it ends | held | `\(test)` |")
        #expect(found.contains("5: row \(row) is cited by none of its tests"))
    }

    @Test(arguments: [
        ("3.1.44", "endsOnce_3_1_44", 6), ("3.4.23", "races_3_4_22_23", 11),
        ("3.2.6", "ends", 18), ("3.2.7", "ends", 18), ("A9", "startsOnce_A9", 2),
        ("J4", "ends", 18), ("3.6.2", "talks", 10), ("3.2.40", "checks", 12),
    ])
    func aTestThatItsRowDoesNotNameIsReported(row: String, test: String, line: Int) {
        let found = messages("| \(row) | it ends | held | `scripts/check-hops` |")
        #expect(found == ["\(line): \(test) holds row \(row), which does not name it"])
        #expect(messages("| \(row) | it ends | held | `LoopTests/\(test)` |").isEmpty)
    }

    @Test(arguments: [("A9", "startsOnce_A9", 2), ("J4", "ends", 18), ("3.2.6", "ends", 18)])
    func aTestOfARowThatIsLeftOutIsReported(row: String, test: String, line: Int) {
        let found = messages("| \(row) | it ends | left out: the language has none | |")
        #expect(found == ["\(line): \(test) holds row \(row), which is left out"])
    }

    @Test func whatTestsClaimIsReadFromNamesAndComments() {
        #expect(ContractClaims.rows(inName: "ends_3_2_10_11_J9") == ["3.2.10", "3.2.11", "J9"])
        #expect(ContractClaims.rows(inName: "ends_B7_3_1_26") == ["B7", "3.1.26"])
        #expect(ContractClaims.rows(inName: "ends_F2_45") == ["F2"])
        #expect(ContractClaims.rows(inName: "waits_3_7") == [])
        #expect(ContractClaims.rows(inName: "reads3Bytes_22") == [])
        #expect(
            ContractClaims.rows(inComment: "/// Held: 3.2.1, 2, 3.3.4.") == [
                "3.2.1", "3.2.2", "3.3.4",
            ])
        #expect(
            ContractClaims.rows(inComment: "/// Conformance list 3.2, 12, and J4.") == [
                "3.2.12", "J4",
            ])
        #expect(ContractClaims.rows(inComment: "/// Contract row 3.2.1.") == [])
        let rows = [
            ("K5, K6: it says so", ["K5", "K6"]), ("3.2-39, 40: one", ["3.2.39", "3.2.40"]),
            ("3.6, 9: one", ["3.6.9"]), ("3.3.8, 3.5.7: one", ["3.3.8", "3.5.7"]),
            ("2.2, CRIME: one", []), ("STARTTLS: one", []), ("K5 and no colon", []),
        ]
        for (name, rows) in rows {
            #expect(ContractClaims.rows(inDisplayName: "    @Test(\"\(name)\")") == rows)
        }
    }

    @Test(arguments: ["", "open", "Held", "to do: some day soon"])
    func aRowWithoutAVerdictIsReported(verdict: String) {
        let found = messages("| A1 | it starts | \(verdict) | |")
        #expect(found == ["5: row A1 has no verdict: held, differs: … or left out: …"])
    }

    @Test func rowsThatAreMissingTwiceThereOrTornAreReported() {
        let row = "| A1 | it starts | held | `LoopTests/startsOnce_A9` |"
        #expect(messages(row, required: ["A1", "A2"]) == ["1: row A2 is missing"])
        #expect(messages(row, row) == ["6: row A1 stands in line 5 already"])
        #expect(messages("| A1 | a | b | held | |") == ["5: a row has four cells"])
        #expect(messages("| A2 |  | left out: it just is | |").count == 1)
    }

    @Test func theListOfRowsIsWhole() {
        let required = Set(ContractRule.required)
        #expect(required.count == ContractRule.required.count)
        #expect(required.isSuperset(of: ["A1", "A17", "E9", "I3", "K9", "3.1.54", "3.6.9"]))
        #expect(required.isSuperset(of: ["3.7.c11", "3.7.l40", "3.7.q32", "X19", "U1", "P3"]))
        #expect(required.isSuperset(of: ["J20", "K12", "M5", "3.2.51", "3.3.8", "3.4.30"]))
    }
}
