// Nil is the absent value; an optional of an optional is flattened, as the wire has one nil.
extension Optional: MessagePackEncodable where Wrapped: MessagePackEncodable {
    /// Writes nil or the value.
    ///
    /// - Throws: What the value throws.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        if let self { try self.encode(into: &writer) } else { writer.writeNil() }
    }
}

extension Optional: MessagePackDecodable where Wrapped: MessagePackDecodable {
    /// Reads nil or a value.
    ///
    /// - Throws: What the value throws.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Wrapped? {
        reader.readNilIfPresent() ? nil : try Wrapped.decode(from: &reader)
    }
}

extension Array: MessagePackEncodable where Element: MessagePackEncodable {
    /// Writes an array, or binary data if the elements are bytes.
    ///
    /// - Throws: What an element throws, or `nestingTooDeep`.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        try Element.encodeArray(self, into: &writer)
    }
}

extension Array: MessagePackDecodable where Element: MessagePackDecodable {
    /// Reads an array, or binary data if the elements are bytes.
    ///
    /// - Throws: What an element throws, or an error of the reader.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> [Element] {
        try Element.decodeArray(from: &reader)
    }
}

extension ArraySlice: MessagePackEncodable where Element: MessagePackEncodable {
    /// Writes an array, or binary data if the elements are bytes.
    ///
    /// - Throws: What an element throws, or `nestingTooDeep`.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        try Element.encodeArray(self, into: &writer)
    }
}

extension ContiguousArray: MessagePackEncodable where Element: MessagePackEncodable {
    /// Writes an array, or binary data if the elements are bytes.
    ///
    /// - Throws: What an element throws, or `nestingTooDeep`.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        try Element.encodeArray(self, into: &writer)
    }
}

extension ContiguousArray: MessagePackDecodable where Element: MessagePackDecodable {
    /// Reads an array, or binary data if the elements are bytes.
    ///
    /// - Throws: What an element throws, or an error of the reader.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Self {
        ContiguousArray(try Element.decodeArray(from: &reader))
    }
}

extension Dictionary: MessagePackEncodable
where Key: MessagePackEncodable, Value: MessagePackEncodable {
    /// Writes a map, in the dictionary's own order, which differs from run to run.
    ///
    /// - Throws: What a key or a value throws, or `nestingTooDeep`.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        try writer.nested { writer in
            writer.writeMapHeader(count)
            for (key, value) in self {
                try key.encode(into: &writer)
                try value.encode(into: &writer)
            }
        }
    }
}

extension Dictionary: MessagePackDecodable
where Key: MessagePackDecodable, Value: MessagePackDecodable {
    /// Reads a map; of a key that occurs twice, the last value counts.
    ///
    /// - Throws: What a key or a value throws, or an error of the reader.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> [Key: Value] {
        try reader.nested { reader in
            let count = try reader.readMapHeader()
            var result: [Key: Value] = [:]
            result.reserveCapacity(Swift.min(count, MessagePackLimits.reservedElementsMax))
            for _ in 0..<count {
                let key = try Key.decode(from: &reader)
                result[key] = try Value.decode(from: &reader)
            }
            return result
        }
    }
}
