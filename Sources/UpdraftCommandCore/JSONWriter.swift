public import MessagePack

/// Writes a MessagePack value as a JSON text (RFC 8259) that ``JSONReader`` reads back as the same
/// value, but that floats of 32 bits become floats of 64.
///
/// What JSON has no words for is written as an object with one key that begins with `$`: binary
/// data as `{"$binary": "AQID"}`, extensions as `{"$ext": [5, "AQID"]}`, not-a-number and the
/// infinities as `{"$float": "nan"}`, and maps whose keys are no distinct strings as
/// `{"$map": [[1, "one"]]}`.
public struct JSONWriter {
    private static let hexDigits = Array("0123456789abcdef".utf8)

    private var bytes: [UInt8] = []
    private let isPretty: Bool
    private var depth = 0

    /// The text of a value: one line, or with `pretty` indented lines; without a final newline.
    public static func text(of value: MessagePackValue, pretty: Bool = false) -> String {
        var writer = JSONWriter(isPretty: pretty)
        writer.write(value)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private init(isPretty: Bool) {
        self.isPretty = isPretty
    }

    private mutating func append(_ text: String) {
        bytes.append(contentsOf: text.utf8)
    }

    private mutating func write(_ value: MessagePackValue) {
        switch value {
        case .nil: append("null")
        case .bool(let flag): append(flag ? "true" : "false")
        case .int(let number): append("\(number)")
        case .uint(let number): append("\(number)")
        case .float(let number):
            if number.isFinite { append("\(number)") } else { writeNonfinite(Double(number)) }
        case .double(let number):
            if number.isFinite { append("\(number)") } else { writeNonfinite(number) }
        case .string(let text): write(text)
        case .binary(let data): write(.binary, .string(Base64.text(of: data)))
        case .ext(let type, let data):
            write(.ext, .array([.int(Int64(type)), .string(Base64.text(of: data))]))
        case .array(let elements):
            writeItems("[", elements, "]") { $0.write($1) }
        case .map(let pairs):
            guard !JSONSpecial.isNeeded(for: pairs) else {
                return write(.map, .array(pairs.map { .array([$0.key, $0.value]) }))
            }
            writeItems("{", pairs, "}") { writer, pair in
                writer.write(pair.key)
                writer.append(writer.isPretty ? ": " : ":")
                writer.write(pair.value)
            }
        }
    }

    private mutating func writeNonfinite(_ number: Double) {
        write(.float, .string(number.isNaN ? "nan" : number < 0 ? "-inf" : "inf"))
    }

    private mutating func write(_ special: JSONSpecial, _ contents: MessagePackValue) {
        append("{\"\(special.rawValue)\":\(isPretty ? " " : "")")
        write(contents)
        append("}")
    }

    private mutating func writeItems<Item>(
        _ start: String, _ items: [Item], _ end: String,
        _ write: (inout JSONWriter, Item) -> Void
    ) {
        append(start)
        depth += 1
        for (index, item) in items.enumerated() {
            if index > 0 { append(",") }
            breakLine()
            write(&self, item)
        }
        depth -= 1
        if !items.isEmpty { breakLine() }
        append(end)
    }

    private mutating func breakLine() {
        guard isPretty else { return }
        append("\n" + String(repeating: "  ", count: depth))
    }

    private mutating func write(_ text: String) {
        append("\"")
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): append("\\\"")
            case UInt8(ascii: "\\"): append("\\\\")
            case UInt8(ascii: "\n"): append("\\n")
            case UInt8(ascii: "\r"): append("\\r")
            case UInt8(ascii: "\t"): append("\\t")
            // Delete is escaped with them: the text may go to a terminal.
            case 0..<0x20, 0x7F:
                append("\\u00")
                bytes.append(Self.hexDigits[Int(byte >> 4)])
                bytes.append(Self.hexDigits[Int(byte & 0xF)])
            default: bytes.append(byte)
            }
        }
        append("\"")
    }
}
