extension MessagePackValue: MessagePackCodable {
    /// Writes the value.
    ///
    /// - Throws: `nestingTooDeep` for more than 64 containers in one another.
    public func encode(into writer: inout MessagePackWriter) throws {
        switch self {
        case .nil: writer.writeNil()
        case .bool(let value): writer.write(value)
        case .int(let value): writer.write(value)
        case .uint(let value): writer.write(value)
        case .float(let value): writer.write(value)
        case .double(let value): writer.write(value)
        case .string(let value): writer.write(value)
        case .binary(let value): writer.writeBinary(value)
        case .ext(let type, let bytes): writer.writeExt(type: type, bytes)
        case .array(let elements):
            try writer.nested { writer in
                writer.writeArrayHeader(elements.count)
                for element in elements { try element.encode(into: &writer) }
            }
        case .map(let pairs):
            try writer.nested { writer in
                writer.writeMapHeader(pairs.count)
                for pair in pairs {
                    try pair.key.encode(into: &writer)
                    try pair.value.encode(into: &writer)
                }
            }
        }
    }

    /// Reads any value.
    ///
    /// - Throws: `truncated`, `malformed`, `invalidUTF8`, or `nestingTooDeep` above the reader's
    ///   limit.
    public static func decode(from reader: inout MessagePackReader) throws -> MessagePackValue {
        switch try reader.peekType() {
        case .nil:
            try reader.readNil()
            return .nil
        case .bool: return .bool(try reader.readBool())
        case .integer:
            let wire = try reader.readWireInteger(expected: "an integer")
            if let value = wire.converted(to: Int64.self) { return .int(value) }
            return .uint(wire.bits)
        case .float:
            return reader.isNextSingle
                ? .float(try reader.readFloat()) : .double(try reader.readDouble())
        case .string: return .string(try reader.readString())
        case .binary: return .binary(try reader.readBinary())
        case .ext:
            let (type, bytes) = try reader.readExt()
            return .ext(type: type, bytes: Array(bytes))
        case .array: return .array(try decodeArray(from: &reader))
        case .map: return .map(try decodePairs(from: &reader))
        }
    }

    private static func decodePairs(from reader: inout MessagePackReader) throws -> [Pair] {
        try reader.nested { reader in
            let count = try reader.readMapHeader()
            var pairs: [Pair] = []
            pairs.reserveCapacity(min(count, MessagePackLimits.reservedElementsMax))
            for _ in 0..<count {
                let key = try decode(from: &reader)
                pairs.append(Pair(key, try decode(from: &reader)))
            }
            return pairs
        }
    }
}

extension MessagePackReader {
    /// Whether a float of 32 bits is next.
    var isNextSingle: Bool { offset < count && byte(at: offset) == 0xca }
}
