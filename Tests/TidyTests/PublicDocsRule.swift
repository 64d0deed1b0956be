/// Every public declaration says what it is.
enum PublicDocsRule {
    private static let modifiers: Set<String> = [
        "final", "static", "class", "override", "required", "convenience", "mutating",
        "nonmutating", "nonisolated", "isolated", "indirect", "lazy", "weak", "unowned", "dynamic",
        "optional", "prefix", "postfix", "infix", "borrowing", "consuming", "distributed",
        "private", "fileprivate", "internal", "package",
    ]

    static func check(_ file: SourceFile) -> [Violation] {
        var violations: [Violation] = []
        var reported = 0
        for (index, token) in file.tokens.enumerated() {
            guard token.isWord("public") || token.isWord("open"), token.line != reported,
                isDeclaration(file.tokens, index)
            else { continue }
            let first = firstLine(file.tokens, index)
            guard !hasDocumentation(file, above: first) else { continue }
            reported = token.line
            let text = file.lines[token.line - 1].drop { $0.isWhitespace }
            violations.append(file.violation(token.line, "no /// comment: \(text)"))
        }
        return violations
    }

    /// `public import`, a function named `open` and a label `open:` declare nothing public.
    private static func isDeclaration(_ tokens: [Token], _ index: Int) -> Bool {
        guard index + 1 < tokens.count else { return false }
        let next = tokens[index + 1]
        if index > 0 {
            let before = tokens[index - 1]
            if before.isSymbol(".") || before.isWord("func") || before.isWord("case") {
                return false
            }
        }
        if next.isSymbol("(") {
            // `public(set) var` alone restricts a setter.
            return false
        }
        return next.isSymbol("@") || (next.kind == .word && next.text != "import")
    }

    /// The line on which the declaration's attributes and modifiers begin.
    private static func firstLine(_ tokens: [Token], _ index: Int) -> Int {
        var first = index
        while first > 0 {
            let before = tokens[first - 1]
            if before.kind == .word, modifiers.contains(before.text) {
                first -= 1
            } else if let attribute = attributeStart(tokens, endingAt: first - 1) {
                first = attribute
            } else {
                break
            }
        }
        return tokens[first].line
    }

    /// The index of the `@` of an attribute, or of the modifier of `nonisolated(unsafe)`, that ends
    /// at the index, or nil.
    private static func attributeStart(_ tokens: [Token], endingAt end: Int) -> Int? {
        var name = end
        if tokens[end].isSymbol(")") {
            var depth = 0
            while name >= 0 {
                if tokens[name].isSymbol(")") { depth += 1 }
                if tokens[name].isSymbol("(") { depth -= 1 }
                name -= 1
                if depth == 0 { break }
            }
        }
        guard name >= 0, tokens[name].kind == .word else { return nil }
        // `@Testing.Suite` has a dotted name.
        while name >= 2, tokens[name - 1].isSymbol(".") { name -= 2 }
        if name > 0, tokens[name - 1].isSymbol("@") { return name - 1 }
        return tokens[end].isSymbol(")") && modifiers.contains(tokens[name].text) ? name : nil
    }

    private static func hasDocumentation(_ file: SourceFile, above line: Int) -> Bool {
        var index = line - 2
        while index >= 0 {
            let text = file.lines[index].drop { $0.isWhitespace }
            if text.hasPrefix("///") {
                // A bare `///` says nothing.
                return text.dropFirst(3).contains { !$0.isWhitespace }
            }
            // Instructions to tools may stand between.
            guard text.hasPrefix("//") || text.hasPrefix("#if") else { return false }
            index -= 1
        }
        return false
    }
}
