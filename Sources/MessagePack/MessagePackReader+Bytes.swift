extension MessagePackReader {
    /// Reads text.
    ///
    /// The formats `str` and `bin` are both accepted: peers from before the split of the two have
    /// only one of them.
    ///
    /// - Throws: `truncated`, `malformed`, `typeMismatch` if something else is next, or
    ///   `invalidUTF8`.
    @inlinable
    public mutating func readString() throws(MessagePackError) -> String {
        let start = offset
        let bytes = try readStringBytes()
        guard let text = Self.text(bytes) else {
            offset = start
            throw MessagePackError.invalidUTF8(position: start)
        }
        return text
    }

    /// Reads the bytes of a text without copying or validating them.
    ///
    /// - Returns: The bytes, lent as long as the reader's own.
    /// - Throws: `truncated`, `malformed`, or `typeMismatch` if neither `str` nor `bin` is next.
    @inlinable
    public mutating func readStringBytes() throws(MessagePackError) -> UnsafeRawBufferPointer {
        if offset < count {
            let byte = byte(at: offset)
            let length = Int(byte & 0x1f)
            if byte & 0xe0 == 0xa0, length < count - offset {
                let bytes = slice(at: offset + 1, count: length)
                offset += 1 + length
                return bytes
            }
        }
        return try readLongBytes(expected: "a string")
    }

    /// Reads binary data into an array. The formats `bin` and `str` are both accepted.
    ///
    /// - Throws: `truncated`, `malformed`, or `typeMismatch` if something else is next.
    @inlinable
    public mutating func readBinary() throws(MessagePackError) -> [UInt8] {
        Array(try readBinaryBytes())
    }

    /// Reads binary data without copying it. The formats `bin` and `str` are both accepted.
    ///
    /// - Returns: The bytes, lent as long as the reader's own.
    /// - Throws: `truncated`, `malformed`, or `typeMismatch` if something else is next.
    @inlinable
    public mutating func readBinaryBytes() throws(MessagePackError) -> UnsafeRawBufferPointer {
        try readLongBytes(expected: "binary data")
    }

    /// Reads the type number and the bytes of an extension, without copying them.
    ///
    /// - Returns: The type (negative ones belong to the specification, the others to the
    ///   application) and the bytes, lent as long as the reader's own.
    /// - Throws: `truncated`, `malformed`, or `typeMismatch` if something else is next.
    public mutating func readExt() throws(MessagePackError) -> (
        type: Int8, bytes: UnsafeRawBufferPointer
    ) {
        let byte = try formatByte(expected: "an extension")
        guard MessagePackType(formatByte: byte) == .ext else {
            throw MessagePackError.mismatch(
                expected: "an extension", found: byte, position: offset)
        }
        let head = FormatHead(at: base + offset, available: count - offset)
        try require(head.size + head.payload)
        let typeOffset = offset + head.size
        offset = typeOffset + head.payload
        return (
            Int8(bitPattern: self.byte(at: typeOffset)),
            slice(at: typeOffset + 1, count: head.payload - 1)
        )
    }

    /// Reads any format of `str` and `bin`.
    @usableFromInline
    mutating func readLongBytes(
        expected: StaticString
    ) throws(MessagePackError) -> UnsafeRawBufferPointer {
        let byte = try formatByte(expected: "\(expected)")
        switch byte {
        case 0xa0...0xbf, 0xc4...0xc6, 0xd9...0xdb: break
        default:
            throw MessagePackError.mismatch(
                expected: "\(expected)", found: byte, position: offset)
        }
        let head = FormatHead(at: base + offset, available: count - offset)
        try require(head.size + head.payload)
        let bytes = slice(at: offset + head.size, count: head.payload)
        offset += head.size + head.payload
        return bytes
    }

    /// The text of bytes, or nil if they are not UTF-8.
    ///
    /// ASCII takes a path of its own, which is six times as fast for a short name as
    /// `String(validating:as:)`.
    @usableFromInline
    static func text(_ bytes: UnsafeRawBufferPointer) -> String? {
        guard isASCII(bytes) else { return String(validating: bytes, as: UTF8.self) }
        return bytes.withMemoryRebound(to: UInt8.self) { String(decoding: $0, as: UTF8.self) }
    }

    private static func isASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let wordSize = MemoryLayout<UInt64>.size
        var index = 0
        while index + wordSize <= bytes.count {
            let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if word & 0x8080_8080_8080_8080 != 0 { return false }
            index += wordSize
        }
        return bytes[index...].allSatisfy { $0 < 0x80 }
    }
}
