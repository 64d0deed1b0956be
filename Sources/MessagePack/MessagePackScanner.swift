/// Finds where a message ends in a byte stream that arrives in pieces.
///
/// The caller keeps the bytes, starting at the first byte of a message, and calls ``scan(_:)``
/// whenever more have come. The scanner remembers how far it has looked, so that a message costs
/// time linear in its length however it is cut. It checks structure and limits, not the contents:
/// text is validated when it is read.
///
/// ```swift
/// var scanner = MessagePackScanner()
/// switch try received.withUnsafeBytes({ try scanner.scan($0) }) {
/// case .complete(let length):
///     handle(received.prefix(length))
///     received.removeFirst(length)
///     scanner.reset()
/// case .incomplete:
///     readMore()
/// }
/// ```
public struct MessagePackScanner: Sendable {
    /// The answer of ``scan(_:)``.
    public enum Progress: Hashable, Sendable {
        /// The message is complete and has this many bytes.
        case complete(Int)
        /// The message goes on; ``lengthMin`` says how long it is at least.
        case incomplete
    }

    /// The longest message that is accepted, in bytes.
    public let bytesMax: Int

    /// The deepest nesting that is accepted; an array of scalars has the depth 1.
    public let depthMax: Int

    /// The offset of the first byte that no value seen so far covers. It may lie behind the bytes
    /// that have arrived, in the middle of a long string.
    private var offset = 0

    /// How many values, at all levels together, are still to come; the message itself is one.
    private var pending = 1

    /// How many containers are open.
    private var depth = 0

    // The values still to come per open container. The two outermost levels, all that most
    // messages have, live in the struct; deeper ones go to the heap, and only when a message is
    // cut inside of them.
    private var outermost = 0
    private var second = 0
    private var deeper: [Int] = []

    /// Bytes of heads looked at since the last reset, for the test that scanning is linear.
    private(set) var examinedCount = 0

    /// Creates a scanner at the start of a message.
    ///
    /// - Parameters:
    ///   - bytesMax: The longest message that is accepted, in bytes; 16 MiB by default.
    ///   - depthMax: The deepest nesting that is accepted, 64 by default.
    public init(
        bytesMax: Int = MessagePackLimits.bytesMax, depthMax: Int = MessagePackLimits.depthMax
    ) {
        self.bytesMax = max(bytesMax, 1)
        self.depthMax = max(depthMax, 0)
    }

    /// The least number of bytes that the message has, by all that is known so far; never above
    /// ``bytesMax``. A reader may wait until so many bytes are there.
    public var lengthMin: Int { offset + pending }

    /// Makes the scanner ready for the next message.
    public mutating func reset() {
        offset = 0
        pending = 1
        depth = 0
        examinedCount = 0
        if !deeper.isEmpty { deeper = [] }
    }

    /// Looks at the bytes that have arrived since the last call.
    ///
    /// - Parameter bytes: All bytes buffered so far, starting at the message's first byte; they
    ///   may go on behind its end.
    /// - Returns: Whether the message is complete, and its length. The answer stays the same until
    ///   ``reset()``.
    /// - Throws: `malformed` for the byte `0xc1`, `nestingTooDeep`, or `lengthTooLarge` as soon as
    ///   the message, a length or an element count that it declares cannot fit in ``bytesMax``.
    ///   The stream cannot be understood any further then.
    public mutating func scan(
        _ bytes: UnsafeRawBufferPointer
    ) throws(MessagePackError) -> Progress {
        guard pending > 0 else { return offset <= bytes.count ? .complete(offset) : .incomplete }
        guard let base = bytes.baseAddress, offset < bytes.count else { return .incomplete }
        let failure = withUnsafeTemporaryAllocation(of: Int.self, capacity: depthMax) { levels in
            restore(into: levels)
            let failure = walk(base, count: bytes.count, levels: levels)
            if pending > 0 { save(from: levels) }
            return failure
        }
        if let failure { throw error(for: failure) }
        return pending == 0 && offset <= bytes.count ? .complete(offset) : .incomplete
    }

    private enum Failure {
        case malformed(position: Int)
        case nestingTooDeep
        case lengthTooLarge(length: Int)
    }

    /// Goes from head to head until the message ends, the bytes end, or something is wrong.
    @inline(__always)
    private mutating func walk(
        _ base: UnsafeRawPointer, count: Int, levels: UnsafeMutableBufferPointer<Int>
    ) -> Failure? {
        var (offset, pending, depth, examined) = (self.offset, self.pending, self.depth, 0)
        defer {
            (self.offset, self.pending, self.depth) = (offset, pending, depth)
            examinedCount += examined
        }
        while pending > 0, offset < count {
            let head = FormatHead(at: base + offset, available: count - offset)
            if head.kind == .truncated {
                examined += 1
                let length = offset + head.size + pending - 1
                return length > bytesMax ? .lengthTooLarge(length: length) : nil
            }
            if head.kind == .malformed { return .malformed(position: offset) }
            if head.kind == .container, depth == depthMax { return .nestingTooDeep }
            let end = offset + head.size + head.payload
            let rest = pending - 1 + head.children
            if end + rest > bytesMax { return .lengthTooLarge(length: end + rest) }
            examined += head.size
            (offset, pending) = (end, rest)
            if head.children > 0 {
                levels[depth] = head.children
                depth += 1
                continue
            }
            // The value ends here, and with it every container whose last element it is.
            while depth > 0 {
                levels[depth - 1] -= 1
                if levels[depth - 1] > 0 { break }
                depth -= 1
            }
        }
        return nil
    }

    @inline(__always)
    private func restore(into levels: UnsafeMutableBufferPointer<Int>) {
        guard depth > 0 else { return }
        levels[0] = outermost
        if depth > 1 { levels[1] = second }
        for index in deeper.indices { levels[2 + index] = deeper[index] }
    }

    @inline(__always)
    private mutating func save(from levels: UnsafeMutableBufferPointer<Int>) {
        if depth > 0 { outermost = levels[0] }
        if depth > 1 { second = levels[1] }
        if depth > 2 || !deeper.isEmpty {
            deeper.removeAll(keepingCapacity: true)
            if depth > 2 { deeper.append(contentsOf: levels[2..<depth]) }
        }
    }

    @inline(never)
    private func error(for failure: Failure) -> MessagePackError {
        switch failure {
        case .malformed(let position): .reservedByte(position: position)
        case .nestingTooDeep: .nestingTooDeep(depthMax: depthMax)
        case .lengthTooLarge(let length): .lengthTooLarge(length: length, bytesMax: bytesMax)
        }
    }
}
