/// What tests say they hold: the rows in their names (`_3_2_17`, `_J15`), those that their display
/// names begin with (`K5, K6: …`), and those behind `Held:` or `Conformance` in the comment right
/// above them.
struct ContractClaims {
    struct Claim {
        let row: String
        let test: String
        let file: SourceFile
        let line: Int
    }

    let all: [Claim]

    /// - Parameter tests: Files of tests; those in Swift are looked at.
    init(_ tests: [SourceFile]) {
        all = tests.filter { $0.path.hasSuffix(".swift") }.flatMap(Self.claims)
    }

    private static func claims(of file: SourceFile) -> [Claim] {
        let names = ContractRule.names(of: [file]).compactMap { $0.split(separator: "/").last }
        let tests = Set(names)
        return file.lines.indices.flatMap { index -> [Claim] in
            guard let name = ContractCitations.declared(in: file.lines[index], isPython: false),
                tests.contains(Substring(name))
            else { return [] }
            let head = ContractCitations.head(file, index)
            let rows = Set(
                rows(inName: name) + head.flatMap(rows(inDisplayName:))
                    + head.flatMap(rows(inComment:)))
            return rows.sorted().map { Claim(row: $0, test: name, file: file, line: index + 1) }
        }
    }

    /// Those of `closes_3_2_16_17_J9`: 3.2.16, 3.2.17 and J9. Section 3.7 stands without numbers.
    static func rows(inName name: String) -> [String] {
        let words = name.split(separator: "_").dropFirst()
        var rows: [String] = []
        var section = ""
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "3", rest.count > 1, rest.prefix(2).allSatisfy({ isNumber($0) }) {
                section = "3.\(rest.removeFirst())."
                rows.append(section + rest.removeFirst())
            } else if isNumber(word), !section.isEmpty {
                rows.append(section + word)
            } else {
                section = ""
                if isLettered(word) { rows.append(String(word)) }
            }
        }
        return rows
    }

    /// Those of `@Test("3.2-39, 40, K5: a certificate")`: what is before the colon, if it is rows
    /// and nothing else.
    static func rows(inDisplayName line: Substring) -> [String] {
        guard let start = line.firstRange(of: "@Test(\"")?.upperBound,
            let end = line[start...].firstIndex(where: { $0 == ":" || $0 == "\"" }),
            line[end] == ":"
        else { return [] }
        var section = ""
        var rows: [String] = []
        for word in line[start..<end].split(separator: ",") {
            let word = word.drop { $0 == " " }
            let parts = word.split { $0 == "." || $0 == "-" }
            if isLettered(word) {
                rows.append(String(word))
            } else if (2...3).contains(parts.count), parts.allSatisfy(isNumber) {
                section = "\(parts[0]).\(parts[1])."
                if parts.count == 3 { rows.append(section + parts[2]) }
            } else if isNumber(word), !section.isEmpty {
                rows.append(section + word)
            } else {
                return []
            }
        }
        return rows
    }

    /// Those of `/// Held: 3.2.22, 23, J5.`
    static func rows(inComment line: Substring) -> [String] {
        let heads = ["Held:", "Conformance"]
        guard line.contains("//"),
            let head = heads.lazy.compactMap({ line.firstRange(of: $0) }).first
        else { return [] }
        var section = ""
        let words = line[head.upperBound...].split { !($0.isLetter || $0.isNumber || $0 == ".") }
        return words.compactMap { word in
            let parts = word.split(separator: ".")
            if parts.count > 1, parts.allSatisfy({ isNumber($0) }) {
                section = "\(parts[0]).\(parts[1])."
                return parts.count == 3 ? section + parts[2] : nil
            }
            guard parts.count == 1 else { return nil }
            if isNumber(parts[0]), !section.isEmpty { return section + parts[0] }
            return isLettered(parts[0]) ? String(parts[0]) : nil
        }
    }

    private static func isNumber(_ word: Substring) -> Bool {
        !word.isEmpty && word.allSatisfy(\.isNumber)
    }

    /// One capital and a number: J15.
    private static func isLettered(_ word: Substring) -> Bool {
        word.first?.isUppercase == true && isNumber(word.dropFirst())
    }
}
