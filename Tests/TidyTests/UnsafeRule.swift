/// What the compiler cannot check stands only in files that say why it is right.
enum UnsafeRule {
    static let marker = "// Unsafe:"

    static func check(_ file: SourceFile) -> [Violation] {
        guard !givesReason(file) else { return [] }
        return file.tokens.indices.compactMap { index in
            guard let name = unsafeName(file.tokens, index) else { return nil }
            let message =
                "\(name) needs a line \"\(marker) …\" with the owner thread or the lifetime in the "
                + "file's first comment"
            return file.violation(file.tokens[index].line, message)
        }
    }

    private static func unsafeName(_ tokens: [Token], _ index: Int) -> String? {
        func follows(_ offset: Int, _ text: String) -> Bool {
            index + offset < tokens.count && tokens[index + offset].text == text
        }
        guard tokens[index].kind == .word else { return nil }
        switch tokens[index].text {
        case "Unmanaged", "unsafeBitCast":
            return tokens[index].text
        case "unchecked" where index > 0 && tokens[index - 1].isSymbol("@"):
            return "@unchecked Sendable"
        case "nonisolated" where follows(1, "(") && follows(2, "unsafe"):
            return "nonisolated(unsafe)"
        default:
            return nil
        }
    }

    /// Whether the first run of comment lines has the marker and something after it.
    private static func givesReason(_ file: SourceFile) -> Bool {
        let comment = file.lines.drop { !$0.hasPrefix("//") }.prefix { $0.hasPrefix("//") }
        return comment.contains { line in
            line.hasPrefix(marker) && line.dropFirst(marker.count).contains { !$0.isWhitespace }
        }
    }
}
