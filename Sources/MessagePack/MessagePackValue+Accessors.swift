extension MessagePackValue {
    /// Creates an integer.
    public init(_ value: Int) {
        self = .int(Int64(value))
    }

    /// Creates text.
    public init(_ value: String) {
        self = .string(value)
    }

    /// Creates an extension of type -1.
    public init(_ timestamp: MessagePackTimestamp) {
        self = .ext(type: MessagePackTimestamp.extType, bytes: timestamp.extBytes)
    }

    /// The type of the value.
    public var type: MessagePackType {
        switch self {
        case .nil: .nil
        case .bool: .bool
        case .int, .uint: .integer
        case .float, .double: .float
        case .string: .string
        case .binary: .binary
        case .array: .array
        case .map: .map
        case .ext: .ext
        }
    }

    /// Whether the value is nil.
    public var isNil: Bool {
        if case .nil = self { true } else { false }
    }

    /// The boolean, or nil if the value is none.
    public var boolValue: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The integer, or nil if the value is none or does not fit.
    public var intValue: Int? { integer() }

    /// The integer, or nil if the value is none or does not fit.
    public var uint64Value: UInt64? { integer() }

    /// The integer as the type that the caller names, or nil if the value is none or does not fit.
    public func integer<Integer: FixedWidthInteger>(
        as type: Integer.Type = Integer.self
    ) -> Integer? {
        switch self {
        case .int(let value): Integer(exactly: value)
        case .uint(let value): Integer(exactly: value)
        default: nil
        }
    }

    /// The number as a double, rounded to the nearest if it is an integer above 2^53, or nil if
    /// the value is no number.
    public var doubleValue: Double? {
        switch self {
        case .int(let value): Double(value)
        case .uint(let value): Double(value)
        case .float(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    /// The text, or nil if the value is none. Binary data is none, unless it is UTF-8: peers from
    /// before the split of the two have only one of them.
    public var stringValue: String? {
        switch self {
        case .string(let value): value
        case .binary(let bytes): String(validating: bytes, as: UTF8.self)
        default: nil
        }
    }

    /// The bytes of binary data or of a text, or nil if the value is neither.
    public var binaryValue: [UInt8]? {
        switch self {
        case .binary(let bytes): bytes
        case .string(let text): Array(text.utf8)
        default: nil
        }
    }

    /// The elements, or nil if the value is no array.
    public var arrayValue: [MessagePackValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    /// The pairs in their order, or nil if the value is no map.
    public var mapValue: [Pair]? {
        if case .map(let pairs) = self { pairs } else { nil }
    }

    /// The timestamp, or nil if the value is none or malformed.
    public var timestampValue: MessagePackTimestamp? {
        guard case .ext(MessagePackTimestamp.extType, let bytes) = self else { return nil }
        return try? MessagePackTimestamp(extBytes: bytes)
    }

    /// The element of an array, or nil if the value is no array or has no such element.
    public subscript(index: Int) -> MessagePackValue? {
        guard case .array(let elements) = self, elements.indices.contains(index) else {
            return nil
        }
        return elements[index]
    }

    /// The value that a map has for a string key, or nil; of duplicate keys the last one counts.
    /// It looks at every pair: for many look-ups make a dictionary of ``mapValue``.
    public subscript(key: String) -> MessagePackValue? { self[key: .string(key)] }

    /// The value that a map has for a key of any type, or nil; of duplicate keys the last counts.
    public subscript(key key: MessagePackValue) -> MessagePackValue? {
        mapValue?.last { $0.key == key }?.value
    }
}

extension MessagePackValue: CustomStringConvertible {
    /// The value in a notation close to JSON's; bytes in hexadecimal as `h'00ff'`.
    public var description: String {
        switch self {
        case .nil: "nil"
        case .bool(let value): "\(value)"
        case .int(let value): "\(value)"
        case .uint(let value): "\(value)"
        case .float(let value): "\(value)"
        case .double(let value): "\(value)"
        case .string(let value): value.debugDescription
        case .binary(let bytes): Self.hexadecimal(bytes)
        case .array(let elements):
            "[" + elements.map(\.description).joined(separator: ", ") + "]"
        case .map(let pairs):
            "{" + pairs.map { "\($0.key): \($0.value)" }.joined(separator: ", ") + "}"
        case .ext(let type, let bytes): "ext(\(type), \(Self.hexadecimal(bytes)))"
        }
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let text = bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return "h'" + String(decoding: text, as: UTF8.self) + "'"
    }
}
