/// A file is one thing, a function fits on a screen.
enum LengthRule {
    static let fileLinesMax = 500
    static let functionLinesMax = 70

    static func check(_ file: SourceFile) -> [Violation] {
        var violations: [Violation] = []
        let count = file.lines.last?.isEmpty == true ? file.lines.count - 1 : file.lines.count
        if count > fileLinesMax {
            let message = "\(count) lines; a file has at most \(fileLinesMax)"
            violations.append(file.violation(fileLinesMax + 1, message))
        }
        for index in file.tokens.indices where startsFunction(file.tokens, index) {
            let first = file.tokens[index].line
            guard let last = lastLine(file.tokens, from: index + 1) else { continue }
            let length = last - first + 1
            if length > functionLinesMax {
                let message = "a function of \(length) lines; at most \(functionLinesMax)"
                violations.append(file.violation(first, message))
            }
        }
        return violations
    }

    private static func startsFunction(_ tokens: [Token], _ index: Int) -> Bool {
        guard tokens[index].kind == .word, index + 1 < tokens.count else { return false }
        switch tokens[index].text {
        case "func":
            return true
        case "deinit":
            return tokens[index + 1].isSymbol("{")
        case "init", "subscript":
            // A call is written with a dot: `self.init(…)`, `.init(…)`.
            guard index > 0 else { return true }
            return !tokens[index - 1].isSymbol(".") && !tokens[index - 1].isWord("func")
        default:
            return false
        }
    }

    /// What can follow a function without a body, as in a protocol.
    private static let nextDeclaration: Set<String> = [
        "func", "var", "let", "init", "deinit", "subscript", "case", "struct", "class", "enum",
        "protocol", "actor", "extension", "associatedtype", "typealias", "static", "mutating",
        "public", "private", "internal", "open", "import",
    ]

    /// The line of the brace that closes the body, or nil if there is none.
    private static func lastLine(_ tokens: [Token], from start: Int) -> Int? {
        var parentheses = 0
        var index = start
        while index < tokens.count {
            let token = tokens[index]
            if token.isSymbol("(") || token.isSymbol("[") { parentheses += 1 }
            if token.isSymbol(")") || token.isSymbol("]") { parentheses -= 1 }
            if parentheses == 0 {
                if token.isSymbol("{") { return closingLine(tokens, open: index) }
                if token.isSymbol("}") { return nil }
                // The first word is the function's name, which may be a keyword in back-ticks.
                if index > start, token.kind == .word, nextDeclaration.contains(token.text) {
                    return nil
                }
            }
            index += 1
        }
        return nil
    }

    private static func closingLine(_ tokens: [Token], open: Int) -> Int? {
        var braces = 0
        for token in tokens[open...] {
            if token.isSymbol("{") { braces += 1 }
            if token.isSymbol("}") { braces -= 1 }
            if braces == 0 { return token.line }
        }
        return nil
    }
}
