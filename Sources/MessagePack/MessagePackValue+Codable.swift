// For properties of this type in Codable structs. MessagePackEncoder and MessagePackDecoder take
// the value as it is; other coders, such as JSON's, get the nearest that they can express.
extension MessagePackValue: Codable {
    private enum ExtKey: String, CodingKey {
        case type, bytes
    }

    /// Encodes the value. Elsewhere than in MessagePack, binary data becomes an array of integers,
    /// keys that are no strings their description, and extensions a map of `type` and `bytes`.
    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .map(let pairs):
            var container = encoder.container(keyedBy: CodablePathKey.self)
            for pair in pairs {
                let name = pair.key.stringValue ?? pair.key.description
                try container.encode(pair.value, forKey: CodablePathKey(stringValue: name))
            }
        case .ext(let type, let bytes):
            var container = encoder.container(keyedBy: ExtKey.self)
            try container.encode(type, forKey: .type)
            try container.encode(bytes, forKey: .bytes)
        default:
            var container = encoder.singleValueContainer()
            try encodeSingle(into: &container)
        }
    }

    private func encodeSingle(into container: inout any SingleValueEncodingContainer) throws {
        switch self {
        case .bool(let value): try container.encode(value)
        case .int(let value): try container.encode(value)
        case .uint(let value): try container.encode(value)
        case .float(let value): try container.encode(value)
        case .double(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .binary(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .nil, .map, .ext: try container.encodeNil()
        }
    }

    /// Decodes whatever the decoder has. Elsewhere than in MessagePack, numbers become the first
    /// of ``int(_:)``, ``uint(_:)`` and ``double(_:)`` that holds them.
    ///
    /// - Throws: `DecodingError` if it is none of these, nor a string, an array or a map.
    public init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: CodablePathKey.self) {
            let pairs = try container.allKeys.map { key in
                let value = try container.decode(MessagePackValue.self, forKey: key)
                return Pair(.string(key.stringValue), value)
            }
            self = .map(pairs)
            return
        }
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .nil
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .int(value)
        } else if let value = try? container.decode(UInt64.self) {
            self = .uint(value)
        } else if let value = try? container.decode(Double.self) {
            self = .double(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else {
            self = .array(try container.decode([MessagePackValue].self))
        }
    }
}

extension MessagePackTimestamp: Codable {
    private enum CodingKeys: String, CodingKey {
        case seconds, nanoseconds
    }

    /// Encodes the timestamp; elsewhere than in MessagePack as a map of its two parts.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(seconds, forKey: .seconds)
        try container.encode(nanoseconds, forKey: .nanoseconds)
    }

    /// Decodes the timestamp; elsewhere than in MessagePack from a map of its two parts.
    ///
    /// - Throws: `DecodingError`, also for 1,000,000,000 nanoseconds or more.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let seconds = try container.decode(Int64.self, forKey: .seconds)
        let nanoseconds = try container.decode(UInt32.self, forKey: .nanoseconds)
        guard let timestamp = MessagePackTimestamp(seconds: seconds, nanoseconds: nanoseconds)
        else {
            throw DecodingError.dataCorruptedError(
                forKey: .nanoseconds, in: container,
                debugDescription: "there are 1000000000 nanoseconds or more")
        }
        self = timestamp
    }
}
