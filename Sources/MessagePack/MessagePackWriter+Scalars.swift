extension MessagePackWriter {
    /// Writes nil.
    @inlinable
    public mutating func writeNil() {
        storage.append(0xc0)
    }

    /// Writes a boolean.
    @inlinable
    public mutating func write(_ value: Bool) {
        storage.append(value ? 0xc3 : 0xc2)
    }

    /// Writes an integer in the shortest format.
    @inlinable
    public mutating func write(_ value: Int) {
        if value >= -32, value < 128 {
            storage.append(UInt8(truncatingIfNeeded: value))
        } else if value >= 0 {
            writeUnsigned(UInt64(value))
        } else {
            writeNegative(Int64(value))
        }
    }

    /// Writes an integer in the shortest format.
    @inlinable
    public mutating func write(_ value: Int64) {
        if value >= 0 { writeUnsigned(UInt64(value)) } else { writeNegative(value) }
    }

    /// Writes an integer in the shortest format.
    @inlinable
    public mutating func write(_ value: UInt64) {
        writeUnsigned(value)
    }

    /// Writes an integer of any width in the shortest format.
    ///
    /// - Precondition: An integer of more than 64 bits fits in `Int64` or `UInt64`.
    @inlinable
    public mutating func write(_ value: some FixedWidthInteger) {
        if value >= 0 { writeUnsigned(UInt64(value)) } else { writeNegative(Int64(value)) }
    }

    /// Writes a float of 32 bits.
    @inlinable
    public mutating func write(_ value: Float) {
        append(0xca, value.bitPattern)
    }

    /// Writes a float of 64 bits.
    @inlinable
    public mutating func write(_ value: Double) {
        append(0xcb, value.bitPattern)
    }

    /// Positive values take the unsigned formats, which every peer reads.
    @inlinable
    mutating func writeUnsigned(_ value: UInt64) {
        if value < 0x80 {
            storage.append(UInt8(truncatingIfNeeded: value))
        } else if value <= UInt64(UInt8.max) {
            append(0xcc, UInt8(truncatingIfNeeded: value))
        } else if value <= UInt64(UInt16.max) {
            append(0xcd, UInt16(truncatingIfNeeded: value))
        } else if value <= UInt64(UInt32.max) {
            append(0xce, UInt32(truncatingIfNeeded: value))
        } else {
            append(0xcf, value)
        }
    }

    @inlinable
    mutating func writeNegative(_ value: Int64) {
        if value >= -32 {
            storage.append(UInt8(truncatingIfNeeded: value))
        } else if value >= Int64(Int8.min) {
            append(0xd0, UInt8(truncatingIfNeeded: value))
        } else if value >= Int64(Int16.min) {
            append(0xd1, UInt16(truncatingIfNeeded: value))
        } else if value >= Int64(Int32.min) {
            append(0xd2, UInt32(truncatingIfNeeded: value))
        } else {
            append(0xd3, UInt64(bitPattern: value))
        }
    }
}
