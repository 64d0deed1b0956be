internal import MessagePack

/// How JSON says what it has no words for: an object with one key, in both directions.
///
/// | MessagePack | JSON |
/// |---|---|
/// | binary | `{"$binary": "AQID"}`, in base64 (RFC 4648) |
/// | extension of type 5 | `{"$ext": [5, "AQID"]}` |
/// | not a number, infinities | `{"$float": "nan"}`, `"inf"`, `"-inf"` |
/// | map with other keys than distinct strings | `{"$map": [[1, "one"]]}` |
/// | map that looks like one of these | `{"$map": [["$ext", 1]]}` |
enum JSONSpecial: String {
    case binary = "$binary"
    case ext = "$ext"
    case float = "$float"
    case map = "$map"

    /// Whether a map of these pairs has to be written as `$map`.
    static func isNeeded(for pairs: [MessagePackValue.Pair]) -> Bool {
        var keys: Set<String> = []
        for pair in pairs {
            guard case .string(let key) = pair.key, keys.insert(key).inserted else { return true }
        }
        guard pairs.count == 1, let key = keys.first else { return false }
        return JSONSpecial(rawValue: key) != nil
    }

    /// What an object stands for; nil if it is a map like any other.
    static func value(of pairs: [MessagePackValue.Pair]) throws -> MessagePackValue? {
        guard pairs.count == 1, case .string(let key) = pairs[0].key,
            let special = JSONSpecial(rawValue: key)
        else { return nil }
        guard let value = special.value(pairs[0].value) else {
            throw JSONError(
                .invalidSpecial, "\(key) needs \(special.contents), not what it has")
        }
        return value
    }

    private var contents: String {
        switch self {
        case .binary: "a string in base64"
        case .ext: "an array of a type from -128 to 127 and a string in base64"
        case .float: "\"nan\", \"inf\" or \"-inf\""
        case .map: "an array of arrays of a key and a value"
        }
    }

    private func value(_ contents: MessagePackValue) -> MessagePackValue? {
        switch (self, contents) {
        case (.binary, .string(let text)):
            return Base64.bytes(of: text).map { .binary($0) }
        case (.ext, .array(let parts)):
            guard parts.count == 2, case .int(let number) = parts[0],
                let type = Int8(exactly: number), case .string(let text) = parts[1]
            else { return nil }
            return Base64.bytes(of: text).map { .ext(type: type, bytes: $0) }
        case (.float, .string(let text)):
            let numbers = ["nan": Double.nan, "inf": .infinity, "-inf": -.infinity]
            return numbers[text].map { .double($0) }
        case (.map, .array(let entries)):
            let pairs = entries.compactMap { entry -> MessagePackValue.Pair? in
                guard case .array(let parts) = entry, parts.count == 2 else { return nil }
                return .init(parts[0], parts[1])
            }
            return pairs.count == entries.count ? .map(pairs) : nil
        default:
            return nil
        }
    }
}
