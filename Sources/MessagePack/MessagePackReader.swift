/// Reads MessagePack values from bytes that somebody else owns.
///
/// A reader is a pair of pointers and a position: it copies nothing, allocates nothing for scalars
/// and never touches a byte outside of the buffer, whatever the bytes say. **It is valid only
/// within the closure that lent the bytes**; it must not be stored or returned from there. It is
/// passed `inout`; a copy reads on independently from the same position.
///
/// A read that throws leaves the position where it was, unless its documentation says otherwise.
///
/// ```swift
/// let (x, y) = try MessagePackReader.withReader(of: bytes) { reader in
///     guard try reader.readArrayHeader() == 2 else { throw Arity() }
///     return (try reader.readInt(), try reader.readInt())
/// }
/// ```
public struct MessagePackReader {
    /// The first byte; alive as long as the closure that lent it. Never dereferenced if `count` is
    /// zero: an empty buffer may have no address.
    @usableFromInline let base: UnsafeRawPointer

    /// The number of bytes behind `base`.
    @usableFromInline let count: Int

    /// The offset of the next byte to read, from the first one of the buffer.
    @inlinable public var position: Int { offset }

    @usableFromInline var offset = 0

    /// How many containers were entered by ``enterContainer()`` and not left.
    @usableFromInline var depth = 0

    /// The deepest nesting that decoders which recurse accept.
    public let depthMax: Int

    /// Creates a reader at the start of a buffer.
    ///
    /// - Parameters:
    ///   - bytes: The buffer; it must stay alive and unchanged while the reader is used.
    ///   - depthMax: The deepest nesting that is accepted, 64 by default.
    @inlinable
    public init(_ bytes: UnsafeRawBufferPointer, depthMax: Int = MessagePackLimits.depthMax) {
        // Any address that is not null serves for an empty buffer.
        base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 16).unsafelyUnwrapped
        count = bytes.count
        self.depthMax = max(depthMax, 0)
    }

    /// Lends the bytes of a collection to a closure, as a reader.
    ///
    /// - Parameters:
    ///   - bytes: The bytes; copied only if their storage is not contiguous.
    ///   - depthMax: The deepest nesting that is accepted, 64 by default.
    ///   - body: Reads from the reader; neither the reader nor what it lends may leave it.
    /// - Returns: What the closure returns.
    /// - Throws: What the closure throws.
    @inlinable
    public static func withReader<Result>(
        of bytes: some Sequence<UInt8>,
        depthMax: Int = MessagePackLimits.depthMax,
        _ body: (inout MessagePackReader) throws -> Result
    ) rethrows -> Result {
        let result = try bytes.withContiguousStorageIfAvailable { buffer in
            var reader = MessagePackReader(UnsafeRawBufferPointer(buffer), depthMax: depthMax)
            return try body(&reader)
        }
        if let result { return result }
        return try Array(bytes).withUnsafeBytes { buffer in
            var reader = MessagePackReader(buffer, depthMax: depthMax)
            return try body(&reader)
        }
    }

    /// How many bytes are left to read.
    @inlinable public var remainingCount: Int { count - offset }

    /// Whether all bytes are read.
    @inlinable public var isAtEnd: Bool { offset == count }

    /// The type of the next value; nothing is consumed.
    ///
    /// - Throws: `truncated` at the end of the bytes, `malformed` for the byte `0xc1`.
    @inlinable
    public func peekType() throws(MessagePackError) -> MessagePackType {
        guard offset < count else {
            throw MessagePackError.endOfInput(expected: "a value", position: offset)
        }
        guard let type = MessagePackType(formatByte: byte(at: offset)) else {
            throw MessagePackError.reservedByte(position: offset)
        }
        return type
    }

    /// Checks that nothing is left to read.
    ///
    /// - Throws: `trailingBytes` with the number of bytes left.
    @inlinable
    public func finish() throws(MessagePackError) {
        if offset != count { throw MessagePackError.trailingBytes(count: count - offset) }
    }

    // MARK: Nesting

    /// Counts one more open container; to be called before reading the elements of a container
    /// whose nesting the peer chooses, and paired with ``leaveContainer()``.
    ///
    /// - Throws: `nestingTooDeep` above ``depthMax``.
    @inlinable
    public mutating func enterContainer() throws(MessagePackError) {
        guard depth < depthMax else { throw MessagePackError.nestingTooDeep(depthMax: depthMax) }
        depth += 1
    }

    /// Ends what ``enterContainer()`` began.
    @inlinable
    public mutating func leaveContainer() {
        depth -= 1
    }

    /// Runs a closure one level deeper, for decoders that recurse.
    ///
    /// - Parameter body: Reads the elements of the container.
    /// - Returns: What the closure returns.
    /// - Throws: `nestingTooDeep` above ``depthMax``, and what the closure throws; the position is
    ///   then where the closure left it.
    @inlinable
    public mutating func nested<Result>(
        _ body: (inout MessagePackReader) throws -> Result
    ) throws -> Result {
        try enterContainer()
        defer { leaveContainer() }
        return try body(&self)
    }

    // MARK: Bytes

    /// The byte at an offset that the caller has checked.
    @inlinable @inline(__always)
    func byte(at offset: Int) -> UInt8 {
        base.load(fromByteOffset: offset, as: UInt8.self)
    }

    /// A big-endian integer at an offset whose bytes the caller has checked.
    @inlinable @inline(__always)
    func bigEndian<Integer: FixedWidthInteger & BitwiseCopyable>(
        at offset: Int, as type: Integer.Type
    ) -> Integer {
        Integer(bigEndian: base.loadUnaligned(fromByteOffset: offset, as: type))
    }

    /// Bytes at an offset that the caller has checked, lent as long as the reader's own.
    @inlinable @inline(__always)
    func slice(at offset: Int, count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + offset, count: count)
    }

    /// The format byte of the next value.
    ///
    /// - Parameter expected: What the caller wants to read, for the error message.
    @inlinable @inline(__always)
    func formatByte(expected: @autoclosure () -> String) throws(MessagePackError) -> UInt8 {
        guard offset < count else {
            throw MessagePackError.endOfInput(expected: expected(), position: offset)
        }
        return byte(at: offset)
    }

    /// Checks that a value of `needed` bytes, with its head, is there.
    @inlinable @inline(__always)
    func require(_ needed: Int) throws(MessagePackError) {
        if needed > count - offset {
            throw MessagePackError.truncated(
                position: offset, needed: needed, left: count - offset)
        }
    }
}
