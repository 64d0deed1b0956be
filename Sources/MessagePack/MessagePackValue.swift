/// Any MessagePack value, for data whose shape is not known in advance.
///
/// It keeps what the wire had: the order of a map's pairs, duplicate keys and keys that are no
/// strings, and extensions of unknown types.
///
/// ```swift
/// let value: MessagePackValue = ["name": "ann", "scores": [3, 5]]
/// value["scores"]?[0]?.intValue   // 3
/// ```
public enum MessagePackValue: Sendable {
    /// A key and its value in a map.
    public struct Pair: Hashable, Sendable {
        /// The key; most peers use strings, but any value may serve.
        public var key: MessagePackValue
        /// The value.
        public var value: MessagePackValue

        /// Creates a pair.
        public init(_ key: MessagePackValue, _ value: MessagePackValue) {
            self.key = key
            self.value = value
        }
    }

    /// Nil, the absent value.
    case `nil`
    /// True or false.
    case bool(Bool)
    /// An integer up to `Int64.max`.
    case int(Int64)
    /// An integer that a decoder yields only above `Int64.max`. Smaller ones are equal to the
    /// ``int(_:)`` of the same number.
    case uint(UInt64)
    /// A float of 32 bits; not equal to a ``double(_:)``, which is other bytes on the wire.
    case float(Float)
    /// A float of 64 bits.
    case double(Double)
    /// Text.
    case string(String)
    /// Bytes.
    case binary([UInt8])
    /// A list of values.
    case array([MessagePackValue])
    /// Pairs of keys and values, in the order of the wire.
    case map([Pair])
    /// Bytes with a type number; negative types belong to the specification (-1 is a timestamp).
    case ext(type: Int8, bytes: [UInt8])
}

extension MessagePackValue: Hashable {
    /// Compares as the wire would: integers by their number, everything else by type and content;
    /// maps in order.
    public static func == (left: MessagePackValue, right: MessagePackValue) -> Bool {
        switch (left, right) {
        case (.nil, .nil): true
        case (.bool(let left), .bool(let right)): left == right
        case (.int(let left), .int(let right)): left == right
        case (.uint(let left), .uint(let right)): left == right
        case (.int(let left), .uint(let right)): left == right
        case (.uint(let left), .int(let right)): left == right
        case (.float(let left), .float(let right)): left == right
        case (.double(let left), .double(let right)): left == right
        case (.string(let left), .string(let right)): left == right
        case (.binary(let left), .binary(let right)): left == right
        case (.array(let left), .array(let right)): left == right
        case (.map(let left), .map(let right)): left == right
        case (.ext(let type, let bytes), .ext(let otherType, let otherBytes)):
            type == otherType && bytes == otherBytes
        default: false
        }
    }

    /// Feeds the value to a hasher; equal integers hash alike.
    public func hash(into hasher: inout Hasher) {
        switch self {
        case .nil: hasher.combine(0)
        case .bool(let value): hasher.combine(value)
        case .int(let value): hasher.combine(value)
        case .uint(let value):
            // As the Int64 that it may be equal to; above that, any number does.
            hasher.combine(Int64(truncatingIfNeeded: value))
        case .float(let value): hasher.combine(value)
        case .double(let value): hasher.combine(value)
        case .string(let value): hasher.combine(value)
        case .binary(let value): hasher.combine(value)
        case .array(let value): hasher.combine(value)
        case .map(let value): hasher.combine(value)
        case .ext(let type, let bytes):
            hasher.combine(type)
            hasher.combine(bytes)
        }
    }
}
