/// The types of MessagePack values, as a format byte announces them.
public enum MessagePackType: Hashable, Sendable, CustomStringConvertible {
    /// Nil, the absent value.
    case `nil`
    /// True or false.
    case bool
    /// An integer of any width and sign.
    case integer
    /// A float of 32 or 64 bits.
    case float
    /// Text (`str`).
    case string
    /// Bytes (`bin`).
    case binary
    /// An ordered list of values.
    case array
    /// An ordered list of key and value pairs.
    case map
    /// Bytes with an application's type number (`ext`).
    case ext

    /// The type that a value's first byte announces, or nil for `0xc1`, which is never used.
    public init?(formatByte byte: UInt8) {
        switch byte {
        case 0x00...0x7f, 0xe0...0xff, 0xcc...0xd3: self = .integer
        case 0x80...0x8f, 0xde, 0xdf: self = .map
        case 0x90...0x9f, 0xdc, 0xdd: self = .array
        case 0xa0...0xbf, 0xd9...0xdb: self = .string
        case 0xc0: self = .nil
        case 0xc2, 0xc3: self = .bool
        case 0xc4...0xc6: self = .binary
        case 0xc7...0xc9, 0xd4...0xd8: self = .ext
        case 0xca, 0xcb: self = .float
        default: return nil
        }
    }

    /// The type with its article, as error messages name it: `an integer`.
    public var description: String {
        switch self {
        case .nil: "nil"
        case .bool: "a boolean"
        case .integer: "an integer"
        case .float: "a float"
        case .string: "a string"
        case .binary: "binary data"
        case .array: "an array"
        case .map: "a map"
        case .ext: "an extension"
        }
    }
}
