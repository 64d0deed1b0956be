/// Which rows of the contract the tests cite: in their names (`_3_1_36`, `_36`), in their display
/// names, in the comment right above them, or in the text below the head of one in Python.
struct ContractCitations {
    /// What stands at each test, by the name under which a row gives it without its suite or file.
    private let texts: [String: String]

    init(_ tests: [SourceFile]) {
        var texts: [String: String] = [:]
        for file in tests {
            let isPython = file.path.hasSuffix(".py")
            for (index, line) in file.lines.enumerated() {
                guard let name = Self.declared(in: line, isPython: isPython) else { continue }
                let lines = isPython ? file.lines[index...].prefix(4) : Self.head(file, index)
                texts[name, default: ""] += lines.joined(separator: "\n") + "\n"
            }
        }
        self.texts = texts
    }

    /// Whether a test cites a row of the lists 3.1 to 3.7, which are long: its number, or the
    /// section for the last, whose tests are of one primitive each.
    func cites(_ row: String, in test: String) -> Bool {
        let name = test.split { $0 == "/" || $0 == ":" }.last.map(String.init) ?? test
        guard let text = texts[name], let dot = row.lastIndex(of: ".") else { return false }
        let (section, number) = (row[..<dot], row[row.index(after: dot)...])
        return Self.isIn(text, section == "3.7" ? "_3_7" : "_\(number)")
            || [".", ", ", "-"].contains { Self.lists(of: section + $0, in: text, have: number) }
    }

    /// Whether a number is in a list of them behind a section: `3.2.22, 23`.
    private static func lists(of head: String, in text: String, have number: Substring) -> Bool {
        var rest = Substring(text)
        while let first = rest.firstRange(of: head) {
            rest = rest[first.upperBound...]
            var list = rest
            while true {
                let next = list.prefix { $0.isNumber || $0.isLetter }
                if next == number { return true }
                list = list[next.endIndex...]
                guard !next.isEmpty, list.hasPrefix(", ") else { break }
                list = list.dropFirst(2)
            }
        }
        return false
    }

    /// Whether a spelling stands in the text and no further digit after it.
    private static func isIn(_ text: String, _ spelling: String) -> Bool {
        var rest = Substring(text)
        while let first = rest.firstRange(of: spelling) {
            rest = rest[first.upperBound...]
            if rest.first?.isNumber != true { return true }
        }
        return false
    }

    static func declared(in line: Substring, isPython: Bool) -> String? {
        let words = line.split { !($0.isLetter || $0.isNumber || $0 == "_") }
        guard let keyword = words.firstIndex(of: isPython ? "def" : "func"),
            keyword + 1 < words.count
        else { return nil }
        return String(words[keyword + 1])
    }

    /// From the comment above a function to its line. What is before it ends with a blank line or a
    /// brace.
    static func head(_ file: SourceFile, _ line: Int) -> ArraySlice<Substring> {
        var first = line
        while first > 0 {
            let above = file.lines[first - 1].reversed().drop { $0 == " " }
            if above.isEmpty || above.first == "{" || above.first == "}" { break }
            first -= 1
        }
        return file.lines[first...line]
    }
}
