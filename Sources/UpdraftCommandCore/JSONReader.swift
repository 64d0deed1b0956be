public import MessagePack

/// Reads a JSON text (RFC 8259) as a MessagePack value.
///
/// Integers stay integers and exact, `1.0` stays a float, and objects keep their order and their
/// duplicate keys, all of which the peer can see; JSON libraries lose some or all of it. An object
/// with one key that begins with `$` stands for what JSON has not; see ``JSONSpecial``.
///
/// ```swift
/// try JSONReader.value(of: #"{"scores": [1, 2.5]}"#)
/// ```
public struct JSONReader {
    /// How deep arrays and objects may nest, as in MessagePack-RPC.
    public static let nestingMax = 64

    private static let digits = UInt8(ascii: "0")...UInt8(ascii: "9")

    private let bytes: [UInt8]
    private var offset = 0
    private var depth = 0

    /// Reads a text that holds one value.
    ///
    /// - Throws: ``JSONError``.
    public static func value(of text: String) throws -> MessagePackValue {
        var reader = JSONReader(bytes: Array(text.utf8))
        let value = try reader.readValue()
        reader.skipSpace()
        guard reader.offset == reader.bytes.count else {
            throw reader.unexpected("after the value")
        }
        return value
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    // MARK: Bytes

    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipSpace() {
        while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { offset += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        offset += 1
        return true
    }

    private func unexpected(_ place: String) -> JSONError {
        guard let byte = next else { return JSONError(.malformed, "it ends \(place)") }
        let shown = (0x21...0x7E).contains(byte) ? "'\(Unicode.Scalar(byte))'" : "byte \(byte)"
        return JSONError(.malformed, "\(shown) at offset \(offset) is unexpected \(place)")
    }

    // MARK: Values

    private mutating func readValue() throws -> MessagePackValue {
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return try nested { try $0.readObject() }
        case UInt8(ascii: "["): return try nested { try $0.readArray() }
        case UInt8(ascii: "\""): return .string(try readString())
        case UInt8(ascii: "t"): return try readWord("true", .bool(true))
        case UInt8(ascii: "f"): return try readWord("false", .bool(false))
        case UInt8(ascii: "n"): return try readWord("null", .nil)
        case let byte? where byte == UInt8(ascii: "-") || Self.digits.contains(byte):
            return try readNumber()
        default: throw unexpected("where a value should begin")
        }
    }

    private mutating func nested(
        _ read: (inout JSONReader) throws -> MessagePackValue
    ) throws -> MessagePackValue {
        guard depth < Self.nestingMax else {
            throw JSONError(.nestingTooDeep, "it is nested deeper than \(Self.nestingMax)")
        }
        depth += 1
        defer { depth -= 1 }
        offset += 1
        return try read(&self)
    }

    private mutating func readWord(
        _ word: StaticString, _ value: MessagePackValue
    ) throws -> MessagePackValue {
        let start = offset
        for byte in word.description.utf8 {
            guard next == byte else {
                offset = start
                throw unexpected("where a value should begin")
            }
            offset += 1
        }
        return value
    }

    private mutating func readArray() throws -> MessagePackValue {
        var elements: [MessagePackValue] = []
        skipSpace()
        if take("]") { return .array(elements) }
        repeat {
            elements.append(try readValue())
            skipSpace()
        } while take(",")
        guard take("]") else { throw unexpected("in an array") }
        return .array(elements)
    }

    private mutating func readObject() throws -> MessagePackValue {
        var pairs: [MessagePackValue.Pair] = []
        skipSpace()
        if take("}") { return .map(pairs) }
        repeat {
            skipSpace()
            guard next == UInt8(ascii: "\"") else {
                throw unexpected("where a key should begin")
            }
            let key = try readString()
            skipSpace()
            guard take(":") else { throw unexpected("after a key") }
            pairs.append(.init(.string(key), try readValue()))
            skipSpace()
        } while take(",")
        guard take("}") else { throw unexpected("in an object") }
        return try JSONSpecial.value(of: pairs) ?? .map(pairs)
    }

    // MARK: Numbers

    private mutating func readNumber() throws -> MessagePackValue {
        let start = offset
        _ = take("-")
        if !take("0") { try skipDigits() }
        var isInteger = true
        if take(".") {
            isInteger = false
            try skipDigits()
        }
        if take("e") || take("E") {
            isInteger = false
            if !take("+") { _ = take("-") }
            try skipDigits()
        }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        if isInteger {
            if let number = Int64(text) { return .int(number) }
            if let number = UInt64(text) { return .uint(number) }
            throw JSONError(.outOfRange, "\(text) does not fit into 64 bits")
        }
        guard let number = Double(text), number.isFinite else {
            throw JSONError(.outOfRange, "\(text) does not fit into a double")
        }
        return .double(number)
    }

    private mutating func skipDigits() throws {
        let start = offset
        while let byte = next, Self.digits.contains(byte) { offset += 1 }
        if offset == start { throw unexpected("where a digit should be") }
    }

    // MARK: Strings

    private mutating func readString() throws -> String {
        offset += 1
        var text: [UInt8] = []
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                offset += 1
                text.append(contentsOf: Array(String(try readEscape()).utf8))
            case 0..<0x20:
                throw unexpected("in a string, where it must be escaped")
            default:
                text.append(byte)
                offset += 1
            }
        }
        throw unexpected("in a string")
    }

    private mutating func readEscape() throws -> Character {
        guard let byte = next else { throw unexpected("in a string") }
        let plain: [UInt8: Character] = [
            UInt8(ascii: "\""): "\"", UInt8(ascii: "\\"): "\\", UInt8(ascii: "/"): "/",
            UInt8(ascii: "b"): "\u{8}", UInt8(ascii: "f"): "\u{C}", UInt8(ascii: "n"): "\n",
            UInt8(ascii: "r"): "\r", UInt8(ascii: "t"): "\t",
        ]
        if let character = plain[byte] {
            offset += 1
            return character
        }
        guard take("u") else { throw unexpected("after a backslash") }
        let first = try readHex()
        var code = UInt32(first)
        if (0xD800..<0xDC00).contains(code), take("\\"), take("u") {
            let second = UInt32(try readHex())
            if (0xDC00..<0xE000).contains(second) {
                code = 0x1_0000 + (code - 0xD800) << 10 + (second - 0xDC00)
            }
        }
        guard let scalar = Unicode.Scalar(code) else {
            throw JSONError(.malformed, "half a surrogate pair ends at offset \(offset)")
        }
        return Character(scalar)
    }

    private mutating func readHex() throws -> UInt16 {
        let digits = bytes[offset..<min(offset + 4, bytes.count)].map { Unicode.Scalar($0) }
        guard digits.count == 4, digits.allSatisfy({ $0.properties.isASCIIHexDigit }),
            let number = UInt16(String(String.UnicodeScalarView(digits)), radix: 16)
        else {
            throw JSONError(.malformed, "four hexadecimal digits should be at offset \(offset)")
        }
        offset += 4
        return number
    }
}
