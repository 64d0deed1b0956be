/// Decodes `Decodable` values from MessagePack.
///
/// Structs are read from maps with string keys (unknown keys are ignored, of duplicates the last
/// one counts), `[UInt8]` from binary data, a string or an array of integers.
///
/// ```swift
/// let player = try MessagePackDecoder().decode(Player.self, from: bytes)
/// ```
public struct MessagePackDecoder: Sendable {
    /// What the values' own `init(from:)` may ask the decoder for.
    public var userInfo: [CodingUserInfoKey: any Sendable]

    /// Creates a decoder.
    public init(userInfo: [CodingUserInfoKey: any Sendable] = [:]) {
        self.userInfo = userInfo
    }

    /// Decodes a value that fills all of the bytes.
    ///
    /// - Throws: ``MessagePackError`` if the bytes are not one MessagePack value of at most 64
    ///   nested containers; `DecodingError`, with the path to the place, if it is not the value
    ///   that the type asks for.
    public func decode<Value: Decodable>(
        _ type: Value.Type = Value.self, from bytes: some Sequence<UInt8>
    ) throws -> Value {
        try MessagePackReader.withReader(of: bytes) { reader in
            let value = try decode(type, from: &reader)
            try reader.finish()
            return value
        }
    }

    /// Decodes the next value of a reader.
    ///
    /// - Throws: As for bytes; what follows the value is left to the caller.
    public func decode<Value: Decodable>(
        _ type: Value.Type = Value.self, from reader: inout MessagePackReader
    ) throws -> Value {
        try decode(type, from: try MessagePackValue.decode(from: &reader))
    }

    /// Decodes a value that was read before.
    ///
    /// - Throws: `DecodingError` with the path to the place.
    public func decode<Value: Decodable>(
        _ type: Value.Type = Value.self, from value: MessagePackValue
    ) throws -> Value {
        try TreeDecoder(value: value, codingPath: [], userInfo: userInfo).decode(type)
    }
}

extension MessagePackDecodable where Self: Decodable {
    /// Reads the value as its `Decodable` conformance says.
    ///
    /// - Throws: What ``MessagePackDecoder`` throws.
    public static func decode(from reader: inout MessagePackReader) throws -> Self {
        try MessagePackDecoder().decode(Self.self, from: &reader)
    }
}
