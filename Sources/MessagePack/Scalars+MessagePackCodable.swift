extension Bool: MessagePackCodable {
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Bool {
        try reader.readBool()
    }
}

extension String: MessagePackCodable {
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> String {
        try reader.readString()
    }
}

extension Float: MessagePackCodable {
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Float {
        try reader.readFloat()
    }
}

extension Double: MessagePackCodable {
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Double {
        try reader.readDouble()
    }
}

extension Int: MessagePackCodable {
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Int {
        try reader.readInt()
    }
}

extension FixedWidthInteger where Self: MessagePackEncodable {
    /// Writes the integer in the shortest format.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }
}

extension FixedWidthInteger where Self: MessagePackDecodable {
    /// Reads an integer of any wire format.
    ///
    /// - Throws: An error of ``MessagePackReader/read(_:)``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Self {
        try reader.read()
    }
}

extension Int8: MessagePackCodable {}
extension Int16: MessagePackCodable {}
extension Int32: MessagePackCodable {}
extension Int64: MessagePackCodable {}
extension UInt: MessagePackCodable {}
extension UInt16: MessagePackCodable {}
extension UInt32: MessagePackCodable {}
extension UInt64: MessagePackCodable {}

extension UInt8: MessagePackCodable {
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
        for _ in 0..<count { bytes.append(try reader.read()) }
        return bytes
    }
}
