/// Writes MessagePack values into a byte buffer that it owns.
///
/// A writer allocates nothing but room in its buffer. To write straight into a buffer that one
/// already has, hand it over with ``init(adopting:)`` and take it back with ``takeBytes()``:
/// nothing is copied. Integers always take the shortest format.
///
/// ```swift
/// var writer = MessagePackWriter()
/// writer.writeArrayHeader(3)
/// writer.write(2)
/// writer.write("score")
/// writer.writeNil()
/// send(writer.takeBytes())
/// ```
public struct MessagePackWriter: Sendable {
    /// What was written so far, behind the bytes that were adopted.
    @usableFromInline var storage: [UInt8]

    /// How many containers values that recurse are inside of, by ``nested(_:)``.
    @usableFromInline var depth = 0

    /// Creates a writer with an empty buffer.
    ///
    /// - Parameter capacity: The bytes to reserve room for.
    @inlinable
    public init(capacity: Int = 0) {
        storage = []
        if capacity > 0 { storage.reserveCapacity(capacity) }
    }

    /// Creates a writer that appends to a buffer of the caller, without copying it, if the caller
    /// keeps no other reference to it.
    @inlinable
    public init(adopting bytes: consuming [UInt8]) {
        storage = bytes
    }

    /// Hands over the buffer and leaves the writer with an empty one.
    @inlinable
    public mutating func takeBytes() -> [UInt8] {
        var taken: [UInt8] = []
        swap(&taken, &storage)
        return taken
    }

    /// The bytes in the buffer, adopted ones included.
    @inlinable public var bytes: [UInt8] { storage }

    /// The number of bytes in the buffer, adopted ones included.
    @inlinable public var count: Int { storage.count }

    /// Makes room for at least so many more bytes, without ever growing by less than the buffer
    /// would by itself: calling it per message stays linear.
    @inlinable
    public mutating func reserve(_ additional: Int) {
        let needed = storage.count + additional
        if needed > storage.capacity {
            storage.reserveCapacity(max(needed, storage.capacity * 2))
        }
    }

    /// Overwrites one byte that was written before, such as a container's head.
    ///
    /// - Precondition: `position` is below ``count``.
    @inlinable
    public mutating func replaceByte(at position: Int, with byte: UInt8) {
        storage[position] = byte
    }

    /// Drops what was written behind `count` bytes; how a reply that failed half-way is taken back.
    ///
    /// - Precondition: `count` is at most ``count``.
    @inlinable
    public mutating func truncate(to count: Int) {
        storage.removeLast(storage.count - count)
    }

    /// Gives the bytes to a closure without copying them.
    @inlinable
    public func withUnsafeBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        try storage.withUnsafeBytes(body)
    }

    /// Appends bytes that are MessagePack already, such as a value encoded before.
    @inlinable
    public mutating func writeRaw(_ bytes: some Sequence<UInt8>) {
        storage.append(contentsOf: bytes)
    }

    /// Runs a closure one level deeper; for values that recurse, so that none is written which
    /// every reader would refuse.
    ///
    /// - Returns: What the closure returns.
    /// - Throws: `nestingTooDeep` above 64, and what the closure throws.
    @inlinable
    public mutating func nested<Result>(
        _ body: (inout MessagePackWriter) throws -> Result
    ) throws -> Result {
        guard depth < MessagePackLimits.depthMax else {
            throw MessagePackError.nestingTooDeep(depthMax: MessagePackLimits.depthMax)
        }
        depth += 1
        defer { depth -= 1 }
        return try body(&self)
    }

    // MARK: Heads

    @inlinable @inline(__always)
    mutating func append(_ format: UInt8, _ field: UInt8) {
        storage.append(format)
        storage.append(field)
    }

    /// Byte by byte: three times as fast as appending the bytes of the field as a buffer.
    @inlinable @inline(__always)
    mutating func append<Field: FixedWidthInteger>(_ format: UInt8, _ field: Field) {
        storage.append(format)
        var shift = Field.bitWidth
        while shift > 0 {
            shift -= 8
            storage.append(UInt8(truncatingIfNeeded: field >> shift))
        }
    }
}
