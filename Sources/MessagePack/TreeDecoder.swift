/// The `Decoder` that values see; it stands at one value of the tree.
struct TreeDecoder: Decoder {
    let value: MessagePackValue
    let codingPath: [any CodingKey]
    let decoderUserInfo: [CodingUserInfoKey: any Sendable]

    init(
        value: MessagePackValue, codingPath: [any CodingKey],
        userInfo: [CodingUserInfoKey: any Sendable]
    ) {
        self.value = value
        self.codingPath = codingPath
        decoderUserInfo = userInfo
    }

    var userInfo: [CodingUserInfoKey: Any] { decoderUserInfo }

    func container<Key: CodingKey>(
        keyedBy type: Key.Type
    ) throws -> KeyedDecodingContainer<Key> {
        guard let pairs = value.mapValue else { throw mismatch([String: Any].self, "a map") }
        return KeyedDecodingContainer(
            TreeKeyedDecodingContainer<Key>(decoder: self, pairs: pairs))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard let elements = value.arrayValue else { throw mismatch([Any].self, "an array") }
        return TreeUnkeyedDecodingContainer(decoder: self, elements: elements)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer {
        TreeSingleValueDecodingContainer(decoder: self)
    }

    /// A decoder for a value below this one.
    func nested(_ value: MessagePackValue, key: any CodingKey) -> TreeDecoder {
        TreeDecoder(value: value, codingPath: codingPath + [key], userInfo: decoderUserInfo)
    }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        guard let scalar = type as? any CodableScalar.Type else { return try Value(from: self) }
        let decoded: (any CodableScalar)?
        do throws(CodableScalarError) {
            decoded = try scalar.decoded(from: value)
        } catch {
            throw DecodingError.dataCorrupted(context(error.message))
        }
        guard let decoded = decoded as? Value else { throw mismatch(type, scalar.expectation) }
        return decoded
    }

    func mismatch(_ type: Any.Type, _ expectation: String) -> DecodingError {
        let context = context("expected \(expectation), found \(value.type)")
        return value.isNil ? .valueNotFound(type, context) : .typeMismatch(type, context)
    }

    func context(_ description: String) -> DecodingError.Context {
        DecodingError.Context(codingPath: codingPath, debugDescription: description)
    }
}

struct TreeSingleValueDecodingContainer: SingleValueDecodingContainer {
    let decoder: TreeDecoder

    var codingPath: [any CodingKey] { decoder.codingPath }

    func decodeNil() -> Bool { decoder.value.isNil }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try decoder.decode(type)
    }
}

struct TreeUnkeyedDecodingContainer: UnkeyedDecodingContainer {
    let decoder: TreeDecoder
    let elements: [MessagePackValue]
    private(set) var currentIndex = 0

    init(decoder: TreeDecoder, elements: [MessagePackValue]) {
        self.decoder = decoder
        self.elements = elements
    }

    var codingPath: [any CodingKey] { decoder.codingPath }
    var count: Int? { elements.count }
    var isAtEnd: Bool { currentIndex == elements.count }

    mutating func decodeNil() throws -> Bool {
        guard try element(Any?.self).value.isNil else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try advance(type) { try $0.decode(type) }
    }

    mutating func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try advance([String: Any].self) { try $0.container(keyedBy: type) }
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try advance([Any].self) { try $0.unkeyedContainer() }
    }

    mutating func superDecoder() throws -> any Decoder {
        try advance((any Decoder).self) { $0 }
    }

    /// The next element, as a decoder.
    private func element(_ type: Any.Type) throws -> TreeDecoder {
        let key = CodablePathKey(intValue: currentIndex)
        guard !isAtEnd else {
            let context = DecodingError.Context(
                codingPath: codingPath + [key],
                debugDescription: "the array has only \(elements.count) elements")
            throw DecodingError.valueNotFound(type, context)
        }
        return decoder.nested(elements[currentIndex], key: key)
    }

    /// Moves behind the next element, if it can be used.
    private mutating func advance<Result>(
        _ type: Any.Type, _ body: (TreeDecoder) throws -> Result
    ) throws -> Result {
        let result = try body(try element(type))
        currentIndex += 1
        return result
    }
}
