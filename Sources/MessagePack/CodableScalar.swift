/// A type that the encoder and the decoder treat as one value instead of asking it for containers.
///
/// The conformance of arrays is what keeps `[UInt8]` from becoming an array of integers. It is
/// looked up at run time by `as? any CodableScalar`; a cast to `[UInt8]` would not do, since an
/// empty array of any type passes it.
protocol CodableScalar {
    /// The value to write.
    var encodedValue: MessagePackValue { get }

    /// Reads the value, or returns nil if it is of another type.
    ///
    /// - Throws: ``CodableScalarError`` if the type is right and the content is not.
    static func decoded(from value: MessagePackValue) throws(CodableScalarError) -> Self?

    /// What the type is called in an error, with its article.
    static var expectation: String { get }
}

/// Why a value of the right type cannot be taken.
struct CodableScalarError: Error {
    var message: String
}

extension Bool: CodableScalar {
    var encodedValue: MessagePackValue { .bool(self) }
    static var expectation: String { "a boolean" }
    static func decoded(from value: MessagePackValue) throws(CodableScalarError) -> Bool? {
        value.boolValue
    }
}

extension String: CodableScalar {
    var encodedValue: MessagePackValue { .string(self) }
    static var expectation: String { "a string" }
    static func decoded(from value: MessagePackValue) throws(CodableScalarError) -> String? {
        value.stringValue
    }
}

extension Double: CodableScalar {
    var encodedValue: MessagePackValue { .double(self) }
    static var expectation: String { "a number" }
    static func decoded(from value: MessagePackValue) throws(CodableScalarError) -> Double? {
        value.doubleValue
    }
}

extension Float: CodableScalar {
    var encodedValue: MessagePackValue { .float(self) }
    static var expectation: String { "a number" }
    static func decoded(from value: MessagePackValue) throws(CodableScalarError) -> Float? {
        if case .float(let value) = value { return value }
        guard let wide = value.doubleValue else { return nil }
        let narrow = Float(wide)
        guard narrow.isFinite || !wide.isFinite else {
            throw CodableScalarError(message: "\(wide) does not fit in Float")
        }
        return narrow
    }
}

extension Array: CodableScalar where Element == UInt8 {
    var encodedValue: MessagePackValue { .binary(self) }
    static var expectation: String { "binary data" }
    static func decoded(from value: MessagePackValue) throws(CodableScalarError) -> [UInt8]? {
        guard case .array(let elements) = value else { return value.binaryValue }
        var bytes: [UInt8] = []
        for element in elements {
            guard let byte = element.integer(as: UInt8.self) else {
                throw CodableScalarError(message: "the array has an element that is no byte")
            }
            bytes.append(byte)
        }
        return bytes
    }
}

extension MessagePackValue: CodableScalar {
    var encodedValue: MessagePackValue { self }
    static var expectation: String { "a value" }
    static func decoded(from value: MessagePackValue) throws(CodableScalarError) -> Self? {
        value
    }
}

extension MessagePackTimestamp: CodableScalar {
    var encodedValue: MessagePackValue { MessagePackValue(self) }
    static var expectation: String { "a timestamp" }
    static func decoded(from value: MessagePackValue) throws(CodableScalarError) -> Self? {
        guard case .ext(extType, let bytes) = value else { return nil }
        do throws(MessagePackError) {
            return try MessagePackTimestamp(extBytes: bytes)
        } catch {
            throw CodableScalarError(message: error.message)
        }
    }
}

/// The integers, which differ only in their range.
protocol CodableInteger: CodableScalar, FixedWidthInteger {}

extension CodableInteger {
    var encodedValue: MessagePackValue {
        if let value = Int64(exactly: self) { .int(value) } else { .uint(UInt64(self)) }
    }
    static var expectation: String { "an integer" }
    static func decoded(from value: MessagePackValue) throws(CodableScalarError) -> Self? {
        guard value.type == .integer else { return nil }
        guard let integer = value.integer(as: Self.self) else {
            throw CodableScalarError(message: "\(value) does not fit in \(Self.self)")
        }
        return integer
    }
}

extension Int: CodableInteger {}
extension Int8: CodableInteger {}
extension Int16: CodableInteger {}
extension Int32: CodableInteger {}
extension Int64: CodableInteger {}
extension UInt: CodableInteger {}
extension UInt8: CodableInteger {}
extension UInt16: CodableInteger {}
extension UInt32: CodableInteger {}
extension UInt64: CodableInteger {}
