extension MessagePackWriter {
    /// Writes text as `str`.
    ///
    /// - Precondition: It has less than 2^32 bytes of UTF-8.
    @inlinable
    public mutating func write(_ text: String) {
        // The copy is of the reference; it lets the text be made contiguous if it is not.
        var text = text
        text.withUTF8 { utf8 in
            writeStringHeader(utf8.count)
            storage.append(contentsOf: utf8)
        }
    }

    /// Writes a text that the program was built with, without making a `String` of it.
    @inlinable
    public mutating func write(_ text: StaticString) {
        // A static string may be a single scalar instead of a pointer; the closure serves both.
        text.withUTF8Buffer { utf8 in
            writeStringHeader(utf8.count)
            storage.append(contentsOf: utf8)
        }
    }

    /// Writes bytes as `bin`.
    ///
    /// - Precondition: There are less than 2^32 bytes.
    @inlinable
    public mutating func writeBinary(_ bytes: some Collection<UInt8>) {
        writeBinaryHeader(bytes.count)
        storage.append(contentsOf: bytes)
    }

    /// Writes the head of a `str`; so many bytes of UTF-8 must follow by ``writeRaw(_:)``.
    ///
    /// - Precondition: `count` is in 0 ..< 2^32.
    @inlinable
    public mutating func writeStringHeader(_ count: Int) {
        if count < 32 {
            storage.append(0xa0 | UInt8(count))
        } else if count <= Int(UInt8.max) {
            append(0xd9, UInt8(count))
        } else if count <= Int(UInt16.max) {
            append(0xda, UInt16(count))
        } else {
            append(0xdb, UInt32(count))
        }
    }

    /// Writes the head of a `bin`; so many bytes must follow by ``writeRaw(_:)``.
    ///
    /// - Precondition: `count` is in 0 ..< 2^32.
    @inlinable
    public mutating func writeBinaryHeader(_ count: Int) {
        if count <= Int(UInt8.max) {
            append(0xc4, UInt8(count))
        } else if count <= Int(UInt16.max) {
            append(0xc5, UInt16(count))
        } else {
            append(0xc6, UInt32(count))
        }
    }

    /// Writes the head of an array; so many values must follow.
    ///
    /// - Precondition: `count` is in 0 ..< 2^32.
    @inlinable
    public mutating func writeArrayHeader(_ count: Int) {
        if count < 16 {
            storage.append(0x90 | UInt8(count))
        } else if count <= Int(UInt16.max) {
            append(0xdc, UInt16(count))
        } else {
            append(0xdd, UInt32(count))
        }
    }

    /// Writes the head of a map; so many pairs must follow, key and value in turn.
    ///
    /// - Precondition: `count` is in 0 ..< 2^32.
    @inlinable
    public mutating func writeMapHeader(_ count: Int) {
        if count < 16 {
            storage.append(0x80 | UInt8(count))
        } else if count <= Int(UInt16.max) {
            append(0xde, UInt16(count))
        } else {
            append(0xdf, UInt32(count))
        }
    }

    /// Writes an extension in the shortest format.
    ///
    /// - Parameters:
    ///   - type: The application's own number, from 0 up; negative ones belong to the
    ///     specification.
    ///   - bytes: What the extension holds.
    /// - Precondition: There are less than 2^32 bytes.
    @inlinable
    public mutating func writeExt(type: Int8, _ bytes: some Collection<UInt8>) {
        let count = bytes.count
        switch count {
        case 1: storage.append(0xd4)
        case 2: storage.append(0xd5)
        case 4: storage.append(0xd6)
        case 8: storage.append(0xd7)
        case 16: storage.append(0xd8)
        case ...Int(UInt8.max): append(0xc7, UInt8(count))
        case ...Int(UInt16.max): append(0xc8, UInt16(count))
        default: append(0xc9, UInt32(count))
        }
        storage.append(UInt8(bitPattern: type))
        storage.append(contentsOf: bytes)
    }
}
