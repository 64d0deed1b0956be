/// A value on its way to the wire: finished, or a container that may still grow.
enum EncodedItem {
    case value(MessagePackValue)
    case node(EncodedNode)

    /// Encodes a value at a place of the tree.
    init(
        _ value: some Encodable, path: [any CodingKey],
        userInfo: [CodingUserInfoKey: any Sendable]
    ) throws {
        if let scalar = value as? any CodableScalar {
            self = .value(scalar.encodedValue)
            return
        }
        // The exact nesting is checked by the writer; this ends what would recurse for ever.
        guard path.count <= MessagePackLimits.depthMax else {
            throw EncodingError.invalidValue(
                value,
                EncodingError.Context(
                    codingPath: path,
                    debugDescription: "the nesting exceeds the limit of "
                        + "\(MessagePackLimits.depthMax)"))
        }
        let node = EncodedNode()
        try value.encode(to: TreeEncoder(node: node, codingPath: path, userInfo: userInfo))
        if case .single(let item) = node.content { self = item } else { self = .node(node) }
    }

    func write(into writer: inout MessagePackWriter) throws {
        switch self {
        case .value(let value): try value.encode(into: &writer)
        case .node(let node): try node.write(into: &writer)
        }
    }
}

/// A place in the tree that an `Encoder` fills. It is a class because a container may be filled
/// after others were begun behind it.
final class EncodedNode {
    enum Content {
        /// Nothing yet; a value that encodes nothing becomes an empty map.
        case empty
        case single(EncodedItem)
        case array([EncodedItem])
        case map
        /// The value asked for containers of two kinds; the error is thrown when it is written,
        /// because the call that is wrong cannot throw.
        case conflict(path: [any CodingKey])
    }

    private(set) var content = Content.empty

    private var keys: [String] = []
    private var items: [EncodedItem] = []
    /// Where a key is in `keys`, once there are too many of them to look through.
    private var indices: [String: Int] = [:]
    private static let indexedCountMin = 17

    var elementCount: Int {
        if case .array(let elements) = content { elements.count } else { 0 }
    }

    func becomeArray(path: [any CodingKey]) {
        switch content {
        case .empty: content = .array([])
        case .array, .conflict: break
        case .single, .map: content = .conflict(path: path)
        }
    }

    func becomeMap(path: [any CodingKey]) {
        switch content {
        case .empty: content = .map
        case .map, .conflict: break
        case .single, .array: content = .conflict(path: path)
        }
    }

    func set(_ item: EncodedItem, path: [any CodingKey]) {
        if case .empty = content {
            content = .single(item)
        } else {
            content = .conflict(path: path)
        }
    }

    func append(_ item: EncodedItem) {
        guard case .array(var elements) = content else { return }
        // Emptied first, so that the array is not copied for each element.
        content = .empty
        elements.append(item)
        content = .array(elements)
    }

    /// Adds a pair, or replaces the one of the same key.
    func insert(_ item: EncodedItem, forKey key: String) {
        let known = keys.count < Self.indexedCountMin ? keys.firstIndex(of: key) : indices[key]
        if let known {
            items[known] = item
            return
        }
        keys.append(key)
        items.append(item)
        if keys.count == Self.indexedCountMin {
            for (index, key) in keys.enumerated() { indices[key] = index }
        } else if keys.count > Self.indexedCountMin {
            indices[key] = keys.count - 1
        }
    }

    func write(into writer: inout MessagePackWriter) throws {
        switch content {
        case .single(let item): try item.write(into: &writer)
        case .array(let elements):
            try writer.nested { writer in
                writer.writeArrayHeader(elements.count)
                for element in elements { try element.write(into: &writer) }
            }
        case .empty, .map:
            try writer.nested { writer in
                writer.writeMapHeader(keys.count)
                for (key, item) in zip(keys, items) {
                    writer.write(key)
                    try item.write(into: &writer)
                }
            }
        case .conflict(let path):
            throw EncodingError.invalidValue(
                self,
                EncodingError.Context(
                    codingPath: path,
                    debugDescription: "the value encodes into containers of two kinds"))
        }
    }
}
