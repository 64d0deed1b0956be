// Each type says so itself: taken from an extension of FixedWidthInteger, these members would be
// ambiguous with those for Encodable types.
extension Int: MessagePackCodable {
    /// Writes the integer in the shortest format.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads an integer of any wire format.
    ///
    /// - Throws: An error of the reader; see ``MessagePackReader``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Int {
        try reader.readInt()
    }
}

extension Int8: MessagePackCodable {
    /// Writes the integer in the shortest format.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads an integer of any wire format.
    ///
    /// - Throws: An error of the reader; see ``MessagePackReader``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Int8 {
        try reader.read()
    }
}

extension Int16: MessagePackCodable {
    /// Writes the integer in the shortest format.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads an integer of any wire format.
    ///
    /// - Throws: An error of the reader; see ``MessagePackReader``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Int16 {
        try reader.read()
    }
}

extension Int32: MessagePackCodable {
    /// Writes the integer in the shortest format.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads an integer of any wire format.
    ///
    /// - Throws: An error of the reader; see ``MessagePackReader``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Int32 {
        try reader.read()
    }
}

extension Int64: MessagePackCodable {
    /// Writes the integer in the shortest format.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads an integer of any wire format.
    ///
    /// - Throws: An error of the reader; see ``MessagePackReader``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Int64 {
        try reader.read()
    }
}

extension UInt: MessagePackCodable {
    /// Writes the integer in the shortest format.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads an integer of any wire format.
    ///
    /// - Throws: An error of the reader; see ``MessagePackReader``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> UInt {
        try reader.read()
    }
}

extension UInt8: MessagePackCodable {
    /// Writes the integer in the shortest format.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads an integer of any wire format.
    ///
    /// - Throws: An error of the reader; see ``MessagePackReader``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> UInt8 {
        try reader.read()
    }

    /// Writes the bytes as binary data, not as an array of integers.
    @inlinable
    public static func encodeArray(
        _ elements: some Collection<UInt8>, into writer: inout MessagePackWriter
    ) throws {
        writer.writeBinary(elements)
    }

    /// Reads binary data, a string's bytes, or an array of integers from 0 to 255.
    ///
    /// - Throws: `outOfRange` for another integer, and the errors of the reader.
    @inlinable
    public static func decodeArray(from reader: inout MessagePackReader) throws -> [UInt8] {
        guard try reader.peekType() == .array else { return try reader.readBinary() }
        let count = try reader.readArrayHeader()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Swift.min(count, MessagePackLimits.reservedElementsMax))
        for _ in 0..<count { bytes.append(try reader.read()) }
        return bytes
    }
}

extension UInt16: MessagePackCodable {
    /// Writes the integer in the shortest format.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads an integer of any wire format.
    ///
    /// - Throws: An error of the reader; see ``MessagePackReader``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> UInt16 {
        try reader.read()
    }
}

extension UInt32: MessagePackCodable {
    /// Writes the integer in the shortest format.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads an integer of any wire format.
    ///
    /// - Throws: An error of the reader; see ``MessagePackReader``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> UInt32 {
        try reader.read()
    }
}

extension UInt64: MessagePackCodable {
    /// Writes the integer in the shortest format.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads an integer of any wire format.
    ///
    /// - Throws: An error of the reader; see ``MessagePackReader``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> UInt64 {
        try reader.read()
    }
}
