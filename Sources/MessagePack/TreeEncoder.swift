/// The `Encoder` that values see; it fills one node.
struct TreeEncoder: Encoder {
    let node: EncodedNode
    let codingPath: [any CodingKey]
    let encoderUserInfo: [CodingUserInfoKey: any Sendable]

    init(
        node: EncodedNode, codingPath: [any CodingKey],
        userInfo: [CodingUserInfoKey: any Sendable]
    ) {
        self.node = node
        self.codingPath = codingPath
        encoderUserInfo = userInfo
    }

    var userInfo: [CodingUserInfoKey: Any] { encoderUserInfo }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        node.becomeMap(path: codingPath)
        return KeyedEncodingContainer(TreeKeyedEncodingContainer<Key>(encoder: self))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        node.becomeArray(path: codingPath)
        return TreeUnkeyedEncodingContainer(encoder: self)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer {
        TreeSingleValueEncodingContainer(encoder: self)
    }

    func item(for value: some Encodable, path: [any CodingKey]) throws -> EncodedItem {
        try EncodedItem(value, path: path, userInfo: encoderUserInfo)
    }

    /// An encoder for a place below this one.
    func nested(_ node: EncodedNode, key: any CodingKey) -> TreeEncoder {
        TreeEncoder(node: node, codingPath: codingPath + [key], userInfo: encoderUserInfo)
    }
}

// One generic method serves the overload that the protocols require for each scalar.

struct TreeKeyedEncodingContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let encoder: TreeEncoder

    var codingPath: [any CodingKey] { encoder.codingPath }

    func encodeNil(forKey key: Key) throws {
        encoder.node.insert(.value(.nil), forKey: key.stringValue)
    }

    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
        let item = try encoder.item(for: value, path: codingPath + [key])
        encoder.node.insert(item, forKey: key.stringValue)
    }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy keyType: NestedKey.Type, forKey key: Key
    ) -> KeyedEncodingContainer<NestedKey> {
        nested(key).container(keyedBy: keyType)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        nested(key).unkeyedContainer()
    }

    func superEncoder() -> any Encoder { nested(CodablePathKey.super) }

    func superEncoder(forKey key: Key) -> any Encoder { nested(key) }

    private func nested(_ key: any CodingKey) -> TreeEncoder {
        let node = EncodedNode()
        encoder.node.insert(.node(node), forKey: key.stringValue)
        return encoder.nested(node, key: key)
    }
}

struct TreeUnkeyedEncodingContainer: UnkeyedEncodingContainer {
    let encoder: TreeEncoder

    var codingPath: [any CodingKey] { encoder.codingPath }
    var count: Int { encoder.node.elementCount }

    func encodeNil() throws {
        encoder.node.append(.value(.nil))
    }

    func encode<Value: Encodable>(_ value: Value) throws {
        let path = codingPath + [CodablePathKey(intValue: count)]
        encoder.node.append(try encoder.item(for: value, path: path))
    }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy keyType: NestedKey.Type
    ) -> KeyedEncodingContainer<NestedKey> {
        nested().container(keyedBy: keyType)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        nested().unkeyedContainer()
    }

    func superEncoder() -> any Encoder { nested() }

    private func nested() -> TreeEncoder {
        let node = EncodedNode()
        let key = CodablePathKey(intValue: count)
        encoder.node.append(.node(node))
        return encoder.nested(node, key: key)
    }
}

struct TreeSingleValueEncodingContainer: SingleValueEncodingContainer {
    let encoder: TreeEncoder

    var codingPath: [any CodingKey] { encoder.codingPath }

    func encodeNil() throws {
        encoder.node.set(.value(.nil), path: codingPath)
    }

    func encode<Value: Encodable>(_ value: Value) throws {
        let item = try encoder.item(for: value, path: codingPath)
        encoder.node.set(item, path: codingPath)
    }
}
