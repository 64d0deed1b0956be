/// Encodes `Encodable` values as MessagePack.
///
/// Structs become maps with string keys, `[UInt8]` becomes binary data, and nil is written where
/// the type encodes it. It builds a tree before it writes; types on a hot path are better served by
/// a hand-written ``MessagePackEncodable/encode(into:)``.
///
/// ```swift
/// struct Player: Codable { var name: String; var score: Int }
/// let bytes = try MessagePackEncoder().encode(Player(name: "ann", score: 7))
/// ```
public struct MessagePackEncoder: Sendable {
    /// What the values' own `encode(to:)` may ask the encoder for.
    public var userInfo: [CodingUserInfoKey: any Sendable]

    /// Creates an encoder.
    public init(userInfo: [CodingUserInfoKey: any Sendable] = [:]) {
        self.userInfo = userInfo
    }

    /// Encodes a value into new bytes.
    ///
    /// - Throws: `EncodingError` for a nesting of more than 64 containers or for containers of two
    ///   kinds at one place, and what the value itself throws.
    public func encode(_ value: some Encodable) throws -> [UInt8] {
        var writer = MessagePackWriter()
        try encode(value, into: &writer)
        return writer.takeBytes()
    }

    /// Encodes a value behind what a writer already holds.
    ///
    /// - Throws: As ``encode(_:)``; ``MessagePackError`` with `nestingTooDeep` where only the
    ///   writer sees the nesting.
    public func encode(_ value: some Encodable, into writer: inout MessagePackWriter) throws {
        let item = try EncodedItem(value, path: [], userInfo: userInfo)
        try item.write(into: &writer)
    }
}

extension MessagePackEncodable where Self: Encodable {
    /// Writes the value as its `Encodable` conformance says.
    ///
    /// - Throws: What ``MessagePackEncoder/encode(_:into:)`` throws.
    public func encode(into writer: inout MessagePackWriter) throws {
        try MessagePackEncoder().encode(self, into: &writer)
    }
}
