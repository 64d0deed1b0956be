/// An integer as the wire has it: 64 bits, and whether they are two's complement.
@usableFromInline
struct WireInteger {
    @usableFromInline var bits: UInt64
    @usableFromInline var isNegative: Bool

    @inlinable
    init(_ value: Int64) {
        bits = UInt64(bitPattern: value)
        isNegative = value < 0
    }

    @inlinable
    init(_ value: UInt64) {
        bits = value
        isNegative = false
    }

    /// The value in another type, or nil if it does not fit.
    @inlinable @inline(__always)
    func converted<Integer: FixedWidthInteger>(to type: Integer.Type) -> Integer? {
        isNegative ? Integer(exactly: Int64(bitPattern: bits)) : Integer(exactly: bits)
    }

    /// The value in decimal.
    var text: String { isNegative ? "\(Int64(bitPattern: bits))" : "\(bits)" }
}

extension MessagePackReader {
    /// Reads nil.
    ///
    /// - Throws: `truncated`, `malformed`, or `typeMismatch` if something else is next.
    @inlinable
    public mutating func readNil() throws(MessagePackError) {
        let byte = try formatByte(expected: "nil")
        guard byte == 0xc0 else {
            throw MessagePackError.mismatch(expected: "nil", found: byte, position: offset)
        }
        offset += 1
    }

    /// Whether nil is next; false at the end of the bytes.
    @inlinable public var isNextNil: Bool { offset < count && byte(at: offset) == 0xc0 }

    /// Reads nil if it is next, and nothing otherwise.
    ///
    /// - Returns: Whether nil was read.
    @inlinable
    public mutating func readNilIfPresent() -> Bool {
        guard isNextNil else { return false }
        offset += 1
        return true
    }

    /// Reads a boolean.
    ///
    /// - Throws: `truncated`, `malformed`, or `typeMismatch` if something else is next.
    @inlinable
    public mutating func readBool() throws(MessagePackError) -> Bool {
        let byte = try formatByte(expected: "a boolean")
        guard byte == 0xc2 || byte == 0xc3 else {
            throw MessagePackError.mismatch(expected: "a boolean", found: byte, position: offset)
        }
        offset += 1
        return byte == 0xc3
    }

    /// Reads an integer of any wire format.
    ///
    /// - Throws: `truncated`, `malformed`, `typeMismatch` if something else is next (a float is no
    ///   integer), or `outOfRange` above `Int.max`.
    @inlinable
    public mutating func readInt() throws(MessagePackError) -> Int {
        if offset < count {
            let byte = byte(at: offset)
            if byte < 0x80 || byte >= 0xe0 {
                offset += 1
                return Int(Int8(bitPattern: byte))
            }
        }
        return try read(Int.self)
    }

    /// Reads an integer of any wire format that is not negative.
    ///
    /// - Throws: `truncated`, `malformed`, `typeMismatch` if something else is next, or
    ///   `outOfRange` below zero.
    @inlinable
    public mutating func readUInt64() throws(MessagePackError) -> UInt64 {
        try read(UInt64.self)
    }

    /// Reads an integer of any wire format into the type that the caller names.
    ///
    /// - Throws: `truncated`, `malformed`, `typeMismatch` if something else is next (a float is no
    ///   integer), or `outOfRange` if the type cannot hold it.
    @inlinable
    public mutating func read<Integer: FixedWidthInteger>(
        _ type: Integer.Type = Integer.self
    ) throws(MessagePackError) -> Integer {
        let start = offset
        let wire = try readWireInteger(expected: "an integer")
        guard let value = wire.converted(to: type) else {
            offset = start
            throw outOfRange(wire, "\(type)")
        }
        return value
    }

    /// Reads a number as a double: a float of either width, or an integer, which is rounded to the
    /// nearest double above 2^53.
    ///
    /// - Throws: `truncated`, `malformed`, or `typeMismatch` if something else is next.
    @inlinable
    public mutating func readDouble() throws(MessagePackError) -> Double {
        let byte = try formatByte(expected: "a number")
        if byte == 0xcb {
            try require(9)
            let bits = bigEndian(at: offset + 1, as: UInt64.self)
            offset += 9
            return Double(bitPattern: bits)
        }
        if byte == 0xca {
            try require(5)
            let bits = bigEndian(at: offset + 1, as: UInt32.self)
            offset += 5
            return Double(Float(bitPattern: bits))
        }
        let wire = try readWireInteger(expected: "a number")
        return wire.isNegative ? Double(Int64(bitPattern: wire.bits)) : Double(wire.bits)
    }

    /// Reads a number as a float: a float of either width, or an integer; rounded to the nearest
    /// float, since many peers send only doubles.
    ///
    /// - Throws: `truncated`, `malformed`, `typeMismatch` if something else is next, or
    ///   `outOfRange` if a finite number is above what a float can hold.
    @inlinable
    public mutating func readFloat() throws(MessagePackError) -> Float {
        if offset < count, byte(at: offset) == 0xca {
            try require(5)
            let bits = bigEndian(at: offset + 1, as: UInt32.self)
            offset += 5
            // The bits, so that the payload of a NaN survives.
            return Float(bitPattern: bits)
        }
        let start = offset
        let wide = try readDouble()
        let value = Float(wide)
        if value.isInfinite, wide.isFinite {
            offset = start
            throw MessagePackError.outOfRange("\(wide)", type: "Float")
        }
        return value
    }

    /// Reads any of the integer formats.
    @usableFromInline
    mutating func readWireInteger(
        expected: StaticString
    ) throws(MessagePackError) -> WireInteger {
        let byte = try formatByte(expected: "\(expected)")
        let size: Int
        switch byte {
        case 0x00...0x7f, 0xe0...0xff: size = 1
        case 0xcc, 0xd0: size = 2
        case 0xcd, 0xd1: size = 3
        case 0xce, 0xd2: size = 5
        case 0xcf, 0xd3: size = 9
        default:
            throw MessagePackError.mismatch(
                expected: "\(expected)", found: byte, position: offset)
        }
        try require(size)
        let field = offset + 1
        offset += size
        return switch byte {
        case 0xcc: WireInteger(UInt64(self.byte(at: field)))
        case 0xcd: WireInteger(UInt64(bigEndian(at: field, as: UInt16.self)))
        case 0xce: WireInteger(UInt64(bigEndian(at: field, as: UInt32.self)))
        case 0xcf: WireInteger(bigEndian(at: field, as: UInt64.self))
        case 0xd0: WireInteger(Int64(Int8(bitPattern: self.byte(at: field))))
        case 0xd1: WireInteger(Int64(bigEndian(at: field, as: Int16.self)))
        case 0xd2: WireInteger(Int64(bigEndian(at: field, as: Int32.self)))
        case 0xd3: WireInteger(bigEndian(at: field, as: Int64.self))
        default: WireInteger(Int64(Int8(bitPattern: byte)))
        }
    }

    @usableFromInline @inline(never)
    func outOfRange(_ wire: WireInteger, _ type: String) -> MessagePackError {
        .outOfRange(wire.text, type: type)
    }
}
