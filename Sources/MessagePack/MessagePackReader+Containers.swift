extension MessagePackReader {
    /// Reads the head of an array; its elements follow.
    ///
    /// - Returns: The number of elements, never more than bytes are left. It still is the peer's
    ///   word: reserve nothing large by it.
    /// - Throws: `truncated` if fewer bytes than elements are left, `malformed`, or `typeMismatch`
    ///   if something else is next.
    @inlinable
    public mutating func readArrayHeader() throws(MessagePackError) -> Int {
        if offset < count {
            let byte = byte(at: offset)
            let elements = Int(byte & 0x0f)
            if byte & 0xf0 == 0x90, elements < count - offset {
                offset += 1
                return elements
            }
        }
        return try readContainerHead(.array, expected: "an array")
    }

    /// Reads the head of a map; its keys and values follow, in turn.
    ///
    /// - Returns: The number of pairs; two bytes at least are left for each. It still is the
    ///   peer's word: reserve nothing large by it.
    /// - Throws: `truncated` if fewer bytes are left, `malformed`, or `typeMismatch` if something
    ///   else is next.
    @inlinable
    public mutating func readMapHeader() throws(MessagePackError) -> Int {
        try readContainerHead(.map, expected: "a map") / 2
    }

    /// Moves behind the next value, whatever it is, in time linear in its length. Text inside of
    /// it is not validated.
    ///
    /// - Throws: `truncated`, `malformed`, or `nestingTooDeep` above ``depthMax``.
    public mutating func skip() throws(MessagePackError) {
        let start = offset
        do throws(MessagePackError) {
            if try skipHead() > 0 { try skipChildren(from: start) }
        } catch {
            offset = start
            throw error
        }
    }

    /// Moves behind the head and the payload of the next value.
    ///
    /// - Returns: How many children follow.
    private mutating func skipHead() throws(MessagePackError) -> Int {
        guard offset < count else {
            throw MessagePackError.endOfInput(expected: "a value", position: offset)
        }
        let head = FormatHead(at: base + offset, available: count - offset)
        switch head.kind {
        case .malformed: throw MessagePackError.reservedByte(position: offset)
        case .truncated, .leaf: try require(head.size + head.payload)
        case .container:
            guard depth < depthMax else {
                throw MessagePackError.nestingTooDeep(depthMax: depthMax)
            }
            guard head.children <= count - offset - head.size else {
                throw MessagePackError.tooManyElements(
                    position: offset, count: head.children, left: count - offset - head.size)
            }
        }
        offset += head.size + head.payload
        return head.children
    }

    /// Walks the children of the container at `start` with an explicit stack: the peer chooses the
    /// nesting, so that it must not use up the thread's stack.
    private mutating func skipChildren(from start: Int) throws(MessagePackError) {
        let outerDepth = depth
        defer { depth = outerDepth }
        offset = start
        let failure = withUnsafeTemporaryAllocation(
            of: Int.self, capacity: depthMax - outerDepth
        ) { levels -> MessagePackError? in
            do throws(MessagePackError) {
                repeat {
                    let children = try skipHead()
                    if children > 0 {
                        levels[depth - outerDepth] = children
                        depth += 1
                        continue
                    }
                    while depth > outerDepth {
                        levels[depth - outerDepth - 1] -= 1
                        if levels[depth - outerDepth - 1] > 0 { break }
                        depth -= 1
                    }
                } while depth > outerDepth
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
    }

    /// Reads any format of an array or a map.
    ///
    /// - Returns: How many values follow: for a map, keys and values.
    @usableFromInline
    mutating func readContainerHead(
        _ type: MessagePackType, expected: StaticString
    ) throws(MessagePackError) -> Int {
        let byte = try formatByte(expected: "\(expected)")
        guard MessagePackType(formatByte: byte) == type else {
            throw MessagePackError.mismatch(
                expected: "\(expected)", found: byte, position: offset)
        }
        let head = FormatHead(at: base + offset, available: count - offset)
        try require(head.size)
        let left = count - offset - head.size
        guard head.children <= left else {
            throw MessagePackError.tooManyElements(
                position: offset, count: head.children, left: left)
        }
        offset += head.size
        return head.children
    }
}
