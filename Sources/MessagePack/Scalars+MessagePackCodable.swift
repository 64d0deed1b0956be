extension Bool: MessagePackCodable {
    /// Writes a boolean.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads a boolean.
    ///
    /// - Throws: An error of the reader; see ``MessagePackReader``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Bool {
        try reader.readBool()
    }
}

extension String: MessagePackCodable {
    /// Writes text as `str`.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads text from `str` or `bin`.
    ///
    /// - Throws: An error of the reader; see ``MessagePackReader``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> String {
        try reader.readString()
    }
}

extension Float: MessagePackCodable {
    /// Writes a float of 32 bits.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads a number, rounded to the nearest float.
    ///
    /// - Throws: An error of the reader; see ``MessagePackReader``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Float {
        try reader.readFloat()
    }
}

extension Double: MessagePackCodable {
    /// Writes a float of 64 bits.
    @inlinable
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads a number, rounded to the nearest double.
    ///
    /// - Throws: An error of the reader; see ``MessagePackReader``.
    @inlinable
    public static func decode(from reader: inout MessagePackReader) throws -> Double {
        try reader.readDouble()
    }
}
