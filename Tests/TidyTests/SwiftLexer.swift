/// A word or a symbol of Swift code. Comments and the text of string literals are no tokens; code
/// in interpolations is.
struct Token: Equatable {
    enum Kind { case word, symbol, string }

    let kind: Kind
    let text: String
    let line: Int

    func isWord(_ name: String) -> Bool { kind == .word && text == name }
    func isSymbol(_ name: String) -> Bool { kind == .symbol && text == name }
}

/// Splits Swift source into words and symbols: as much of the grammar as the rules need.
///
/// Bare regex literals (`/…/`) are read as symbols; the extended form (`#/…/#`) is skipped.
struct SwiftLexer {
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private(set) var tokens: [Token] = []
    /// The source with every comment replaced by blanks, so that offsets and lines stay.
    private(set) var withoutComments: [UInt8]

    init(_ text: String) {
        bytes = Array(text.utf8)
        withoutComments = bytes
        lexCode(untilParenthesis: false)
    }

    private func peek(_ offset: Int = 0) -> UInt8? {
        position + offset < bytes.count ? bytes[position + offset] : nil
    }

    private mutating func advance(_ count: Int = 1) {
        for _ in 0..<count where position < bytes.count {
            if bytes[position] == UInt8(ascii: "\n") { line += 1 }
            position += 1
        }
    }

    private func startsWith(_ text: StaticString) -> Bool {
        text.withUTF8Buffer { wanted in
            position + wanted.count <= bytes.count
                && bytes[position..<position + wanted.count].elementsEqual(wanted)
        }
    }

    /// Reads code to the end, or to the parenthesis that closes an interpolation.
    private mutating func lexCode(untilParenthesis: Bool) {
        var depth = 0
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: "\n"), UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
                advance()
            case UInt8(ascii: "/") where startsWith("//") || startsWith("/*"):
                skipComment()
            case UInt8(ascii: "\""):
                lexString(hashes: 0)
            case UInt8(ascii: "#"):
                lexHash()
            case _ where Self.isWordByte(byte):
                lexWord()
            default:
                if byte == UInt8(ascii: "(") { depth += 1 }
                if byte == UInt8(ascii: ")") { depth -= 1 }
                if untilParenthesis && depth < 0 { return }
                append(.symbol, String(decoding: [byte], as: UTF8.self))
                advance()
            }
        }
    }

    private mutating func append(_ kind: Token.Kind, _ text: String) {
        tokens.append(Token(kind: kind, text: text, line: line))
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "$"),
            UInt8(ascii: "`"), 0x80...0xff:
            true
        default:
            false
        }
    }

    private mutating func lexWord() {
        let start = position
        while let byte = peek(), Self.isWordByte(byte) { position += 1 }
        let name = bytes[start..<position].filter { $0 != UInt8(ascii: "`") }
        append(.word, String(decoding: name, as: UTF8.self))
    }

    private mutating func skipComment() {
        let start = position
        if startsWith("//") {
            while let byte = peek(), byte != UInt8(ascii: "\n") { position += 1 }
        } else {
            var depth = 0
            repeat {
                if startsWith("/*") {
                    depth += 1
                    advance(2)
                } else if startsWith("*/") {
                    depth -= 1
                    advance(2)
                } else {
                    advance()
                }
            } while depth > 0 && position < bytes.count
        }
        for index in start..<position where bytes[index] != UInt8(ascii: "\n") {
            withoutComments[index] = UInt8(ascii: " ")
        }
    }

    /// At a `#`: a raw string, an extended regex, or a directive such as `#if`.
    private mutating func lexHash() {
        var hashes = 0
        while peek(hashes) == UInt8(ascii: "#") { hashes += 1 }
        switch peek(hashes) {
        case UInt8(ascii: "\""):
            advance(hashes)
            lexString(hashes: hashes)
        case UInt8(ascii: "/"):
            append(.string, "")
            advance(hashes + 1)
            while position < bytes.count, !closes(UInt8(ascii: "/"), count: 1, hashes: hashes) {
                advance()
            }
            advance(hashes + 1)
        default:
            append(.symbol, "#")
            advance()
        }
    }

    /// Whether `count` times `quote` and then `hashes` times `#` stand here.
    private func closes(_ quote: UInt8, count: Int, hashes: Int) -> Bool {
        for offset in 0..<count where peek(offset) != quote { return false }
        for offset in count..<(count + hashes) where peek(offset) != UInt8(ascii: "#") {
            return false
        }
        return true
    }

    private mutating func lexString(hashes: Int) {
        append(.string, "")
        let quotes = startsWith("\"\"\"") ? 3 : 1
        advance(quotes)
        while let byte = peek() {
            if closes(UInt8(ascii: "\""), count: quotes, hashes: hashes) {
                advance(quotes + hashes)
                return
            }
            // A string of one line that is never closed does not swallow the rest of the file.
            if quotes == 1 && byte == UInt8(ascii: "\n") { return }
            guard byte == UInt8(ascii: "\\"),
                (0..<hashes).allSatisfy({ peek(1 + $0) == UInt8(ascii: "#") })
            else {
                advance()
                continue
            }
            advance(1 + hashes)
            if peek() == UInt8(ascii: "(") {
                advance()
                lexCode(untilParenthesis: true)
            }
            advance()
        }
    }
}
