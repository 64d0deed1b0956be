/// A map as a keyed container.
struct TreeKeyedDecodingContainer<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let decoder: TreeDecoder
    let pairs: [MessagePackValue.Pair]

    /// Where a key is, in maps too large to look through for each key.
    private let indices: [String: Int]?

    init(decoder: TreeDecoder, pairs: [MessagePackValue.Pair]) {
        self.decoder = decoder
        self.pairs = pairs
        guard pairs.count > 16 else {
            indices = nil
            return
        }
        var indices: [String: Int] = [:]
        for (index, pair) in pairs.enumerated() {
            if let name = Self.name(of: pair.key) { indices[name] = index }
        }
        self.indices = indices
    }

    var codingPath: [any CodingKey] { decoder.codingPath }

    var allKeys: [Key] {
        var seen: Set<String> = []
        return pairs.compactMap { pair in
            guard let name = Self.name(of: pair.key), seen.insert(name).inserted else {
                return nil
            }
            if let number = pair.key.intValue { return Key(intValue: number) }
            return Key(stringValue: name)
        }
    }

    func contains(_ key: Key) -> Bool { value(for: key) != nil }

    func decodeNil(forKey key: Key) throws -> Bool {
        try nested(key).value.isNil
    }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try nested(key).decode(type)
    }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try nested(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try nested(key).unkeyedContainer()
    }

    // A missing superclass reads as nil, as with the encoders of the platform.
    func superDecoder() throws -> any Decoder {
        decoder.nested(value(for: CodablePathKey.super) ?? .nil, key: CodablePathKey.super)
    }

    func superDecoder(forKey key: Key) throws -> any Decoder {
        decoder.nested(value(for: key) ?? .nil, key: key)
    }

    private func nested(_ key: Key) throws -> TreeDecoder {
        guard let value = value(for: key) else {
            throw DecodingError.keyNotFound(
                key, decoder.context("the map has no key \(key.stringValue.debugDescription)"))
        }
        return decoder.nested(value, key: key)
    }

    private func value(for key: any CodingKey) -> MessagePackValue? {
        let name = key.stringValue
        if let indices { return indices[name].map { pairs[$0].value } }
        return pairs.last { Self.matches($0.key, name) }?.value
    }

    /// The string that a key of the wire stands for; integers stand for their decimals, since the
    /// keys of a `[Int: Value]` are strings in this protocol.
    private static func name(of key: MessagePackValue) -> String? {
        switch key {
        case .string(let name): name
        case .int, .uint: key.description
        default: key.stringValue
        }
    }

    private static func matches(_ key: MessagePackValue, _ name: String) -> Bool {
        if case .string(let text) = key { text == name } else { Self.name(of: key) == name }
    }
}
