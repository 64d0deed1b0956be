/// A type that writes itself as one MessagePack value.
///
/// A type that is `Encodable` needs no code of its own:
///
/// ```swift
/// struct Player: Codable, MessagePackCodable { var name: String; var score: Int }
/// ```
public protocol MessagePackEncodable {
    /// Appends exactly one value to the writer.
    ///
    /// - Throws: What the value cannot be written for. What was appended until then is the
    ///   caller's to take back, by ``MessagePackWriter/truncate(to:)``.
    func encode(into writer: inout MessagePackWriter) throws

    /// Writes a collection of this type as one value: an array by default. It exists so that
    /// `[UInt8]` becomes binary data; other types have no need to implement it.
    static func encodeArray(
        _ elements: some Collection<Self>, into writer: inout MessagePackWriter
    ) throws
}

/// A type that reads itself from one MessagePack value.
public protocol MessagePackDecodable {
    /// Reads exactly one value.
    ///
    /// - Throws: ``MessagePackError`` for bytes that are no such value, or an error of the type's
    ///   own.
    static func decode(from reader: inout MessagePackReader) throws -> Self

    /// Reads an array of this type. It exists so that `[UInt8]` is read from binary data; other
    /// types have no need to implement it.
    static func decodeArray(from reader: inout MessagePackReader) throws -> [Self]
}

/// A type that writes itself as, and reads itself from, one MessagePack value.
public typealias MessagePackCodable = MessagePackEncodable & MessagePackDecodable

extension MessagePackEncodable {
    /// Writes an array of the elements.
    ///
    /// - Throws: What an element throws, or `nestingTooDeep`.
    @inlinable
    public static func encodeArray(
        _ elements: some Collection<Self>, into writer: inout MessagePackWriter
    ) throws {
        try writer.nested { writer in
            writer.writeArrayHeader(elements.count)
            for element in elements { try element.encode(into: &writer) }
        }
    }

    /// The value's bytes.
    ///
    /// - Throws: What ``encode(into:)`` throws.
    @inlinable
    public func messagePackBytes() throws -> [UInt8] {
        var writer = MessagePackWriter()
        try encode(into: &writer)
        return writer.takeBytes()
    }
}

extension MessagePackDecodable {
    /// Reads an array of elements.
    ///
    /// - Throws: What an element throws, or an error of ``MessagePackReader/readArrayHeader()``.
    @inlinable
    public static func decodeArray(from reader: inout MessagePackReader) throws -> [Self] {
        try reader.nested { reader in
            let count = try reader.readArrayHeader()
            var elements: [Self] = []
            elements.reserveCapacity(min(count, MessagePackLimits.reservedElementsMax))
            for _ in 0..<count { elements.append(try decode(from: &reader)) }
            return elements
        }
    }

    /// Reads a value that fills all of the bytes.
    ///
    /// - Throws: What ``decode(from:)`` throws, and `trailingBytes`.
    @inlinable
    public init(messagePackBytes bytes: some Sequence<UInt8>) throws {
        self = try MessagePackReader.withReader(of: bytes) { reader in
            let value = try Self.decode(from: &reader)
            try reader.finish()
            return value
        }
    }
}

extension MessagePackWriter {
    /// Writes a value of any encodable type.
    ///
    /// - Throws: What the value's ``MessagePackEncodable/encode(into:)`` throws.
    @inlinable
    public mutating func encode(_ value: some MessagePackEncodable) throws {
        try value.encode(into: &self)
    }
}

extension MessagePackReader {
    /// Reads a value of the type that the caller names.
    ///
    /// - Throws: What the type's ``MessagePackDecodable/decode(from:)`` throws.
    @inlinable
    public mutating func decode<Value: MessagePackDecodable>(
        _ type: Value.Type = Value.self
    ) throws -> Value {
        try Value.decode(from: &self)
    }
}
