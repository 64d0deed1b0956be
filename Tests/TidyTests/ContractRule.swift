/// The contract is held: `docs/contract.md` has a table row for each promise, and every row names
/// tests that exist, or says why there is none. Rows of the lists 3.1 to 3.7 are cited by a test of
/// theirs; and what a test says it holds is so: the row names it, and is not left out.
///
/// A row is `| id | what holds | verdict | tests |`. The verdict is `held` or `differs: …`, which
/// need a test, or `left out: …`; the last two have a reason. Tests are code spans:
/// `Suite/testName`, or `file.py::test_name` in `Tests/Programs`, or the path of a script that is a
/// test by itself.
enum ContractRule {
    static let path = "docs/contract.md"

    struct Row: Equatable {
        let id: String
        let line: Int
        let promise: String
        let verdict: String
        let tests: [String]
    }

    /// The rows that may not be missing.
    static let required: [String] = {
        let sections: [(String, Int)] = [
            ("A", 17), ("B", 12), ("C", 9), ("D", 9), ("E", 9), ("F", 4), ("G", 5), ("H", 6),
            ("I", 3), ("J", 20), ("K", 12), ("M", 5), ("P", 3), ("S", 5), ("X", 19), ("3.1.", 54),
            ("3.2.", 51), ("3.3.", 8), ("3.4.", 30), ("3.5.", 7), ("3.6.", 9), ("3.7.c", 11),
            ("3.7.l", 40), ("3.7.q", 32),
        ]
        let numbered = sections.flatMap { name, count in (1...count).map { "\(name)\($0)" } }
        return numbered + ["Gnote", "Pgaps", "U1", "W1", "W2", "W5", "W7"]
    }()

    /// - Parameters:
    ///   - page: The page of the contract.
    ///   - tests: The Swift and Python files of tests.
    ///   - exists: Whether there is a file at a path from the repository's root.
    ///   - required: The rows that may not be missing.
    static func check(
        page: SourceFile, tests: [SourceFile], required: [String] = required,
        exists: (String) -> Bool
    ) -> [Violation] {
        let (rows, broken) = rows(of: page)
        let known = names(of: tests)
        let citations = ContractCitations(tests)
        var violations = broken
        var lines: [String: Int] = [:]
        for row in rows {
            if let first = lines.updateValue(row.line, forKey: row.id) {
                let message = "row \(row.id) stands in line \(first) already"
                violations.append(page.violation(row.line, message))
            }
            violations += check(row, of: page)
            for test in row.tests where !known.contains(test) && !(isPath(test) && exists(test)) {
                let message = "row \(row.id) names the test \(test), which there is not"
                violations.append(page.violation(row.line, message))
            }
            let isCited = row.tests.contains { isPath($0) || citations.cites(row.id, in: $0) }
            if row.id.hasPrefix("3."), !row.tests.isEmpty, !isCited {
                let message = "row \(row.id) is cited by none of its tests"
                violations.append(page.violation(row.line, message))
            }
        }
        violations += check(ContractClaims(tests), against: rows)
        let missing = required.filter { lines[$0] == nil }
        return violations + missing.map { page.violation(1, "row \($0) is missing") }
    }

    /// A row names every test that says it holds it.
    private static func check(_ claims: ContractClaims, against rows: [Row]) -> [Violation] {
        let byID = Dictionary(rows.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        return claims.all.compactMap { claim in
            guard let row = byID[claim.row] else { return nil }
            let isNamed = row.tests.contains { $0.hasSuffix("/\(claim.test)") }
            let message: String
            if row.verdict.hasPrefix("left out") {
                message = "\(claim.test) holds row \(row.id), which is left out"
            } else if !isNamed {
                message = "\(claim.test) holds row \(row.id), which does not name it"
            } else {
                return nil
            }
            return claim.file.violation(claim.line, message)
        }
    }

    private static func check(_ row: Row, of page: SourceFile) -> [Violation] {
        var messages: [String] = []
        if row.promise.isEmpty { messages.append("row \(row.id) does not say what holds") }
        let parts = row.verdict.split(separator: ":", maxSplits: 1)
        if ["held", "differs"].contains(parts.first), row.tests.isEmpty {
            messages.append("row \(row.id) is held by no test")
        }
        switch parts.first {
        case "held": break
        case "differs", "left out":
            let words = parts.count > 1 ? parts[1].split(separator: " ").count : 0
            if words < 3 { messages.append("row \(row.id) does not say why") }
        default:
            messages.append("row \(row.id) has no verdict: held, differs: … or left out: …")
        }
        return messages.map { page.violation(row.line, $0) }
    }

    private static func isPath(_ test: String) -> Bool {
        test.hasPrefix("Tests/") || test.hasPrefix("scripts/")
    }

    // MARK: The page

    /// The rows of its tables, without their heads.
    static func rows(of page: SourceFile) -> (rows: [Row], broken: [Violation]) {
        var rows: [Row] = []
        var broken: [Violation] = []
        var isInTable = false
        for (index, line) in page.lines.enumerated() {
            guard line.hasPrefix("|") else {
                isInTable = false
                continue
            }
            // Each table begins with its head and a line of dashes.
            let isHead = !isInTable
            isInTable = true
            let isRule = line.allSatisfy { "|-: ".contains($0) }
            if isHead || isRule { continue }
            let cells = line.split(separator: "|", omittingEmptySubsequences: false)
                .map { trimmed($0) }
            guard cells.count == 6, cells[5].isEmpty else {
                broken.append(page.violation(index + 1, "a row has four cells"))
                continue
            }
            rows.append(
                Row(
                    id: cells[1], line: index + 1, promise: cells[2], verdict: cells[3],
                    tests: spans(cells[4])))
        }
        return (rows, broken)
    }

    private static func trimmed(_ text: Substring) -> String {
        let head = text.drop(while: \.isWhitespace)
        let length = head.reversed().drop(while: \.isWhitespace).count
        return String(head.prefix(length))
    }

    private static func spans(_ cell: String) -> [String] {
        let parts = cell.split(separator: "`", omittingEmptySubsequences: false)
        return parts.indices.filter { $0 % 2 == 1 }.map { String(parts[$0]) }
    }

    // MARK: The tests

    /// The names under which a row may cite the tests of these files.
    static func names(of files: [SourceFile]) -> Set<String> {
        Set(files.flatMap { $0.path.hasSuffix(".py") ? pythonNames($0) : swiftNames($0) })
    }

    private static func pythonNames(_ file: SourceFile) -> [String] {
        let name = file.path.split(separator: "/").last.map(String.init) ?? file.path
        return file.lines.compactMap { line in
            guard line.hasPrefix("def test_") else { return nil }
            return name + "::" + line.dropFirst(4).prefix { $0 != "(" }
        }
    }

    /// Each function that `@Test` stands before, with each type that the file declares.
    private static func swiftNames(_ file: SourceFile) -> [String] {
        let kinds: Set<String> = ["struct", "class", "enum", "actor", "extension"]
        var types: [String] = []
        var functions: [String] = []
        var isTest = false
        for (token, next) in zip(file.tokens, file.tokens.dropFirst()) {
            if token.isSymbol("@"), next.isWord("Test") { isTest = true }
            guard token.kind == .word, next.kind == .word else { continue }
            if kinds.contains(token.text) { types.append(next.text) }
            if token.text == "func" {
                if isTest { functions.append(next.text) }
                isTest = false
            }
        }
        return types.flatMap { type in functions.map { "\(type)/\($0)" } }
    }
}
