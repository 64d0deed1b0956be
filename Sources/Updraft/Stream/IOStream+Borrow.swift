// Unsafe: lends received bytes as a span for the length of a call, and receives into the caller's
// array, whose memory it holds within one call only.

// Reading without an array of its own: conformance list 3.2, 28-31.
extension IOStream {
    /// Fills the caller's array from its start: no array is made for the bytes, and those that come
    /// while this waits are received straight into it.
    ///
    /// ```swift
    /// var frame = [UInt8](repeating: 0, count: 1_400)
    /// try await stream.read(into: &frame)
    /// ```
    ///
    /// - Parameters:
    ///   - buffer: As long as the read: at most `options.readBufferMax`, unless `partial`. An empty
    ///     one returns at once.
    ///   - partial: Whether to return as soon as there is at least one byte.
    /// - Returns: Bytes that came, from the array's start on: all of it, unless `partial`.
    /// - Throws: As `read(exactly:)`. Bytes that came before the error go back to the stream and
    ///   can still be read: what the array holds then is of no meaning.
    @discardableResult
    public nonisolated(nonsending) func read(
        into buffer: inout [UInt8], partial: Bool = false
    ) async throws -> Int {
        // The stream must be able to hold what a read that fails gives back.
        try beginRead(partial ? 0 : buffer.count)
        var filled = 0
        do {
            while filled < buffer.count {
                let count = try fill(&buffer, from: filled)
                filled += count
                if partial, filled > 0 { break }
                hasPartOfRead = filled > 0
                if count == 0, try mustWait(for: "\(buffer.count) bytes came") {
                    // Small pieces are gathered; large ones come straight into the caller's array.
                    let rest = buffer.count - filled
                    readGoal = partial ? .anyBytes : .count(min(rest, Self.gatheredMax))
                    try await readWaiter.wait(for: .bytes)
                }
            }
        } catch {
            readBuffer.putBack(buffer[..<filled])
            throw error
        }
        return filled
    }

    /// Lends the bytes that are there, without making an array of them; `body` says how many it is
    /// done with, and the rest stays for the next read.
    ///
    /// ```swift
    /// let used = try await stream.read(atLeast: 4) { bytes in
    ///     total += Int(bytes.unsafeLoadUnaligned(as: UInt32.self).bigEndian)
    ///     return 4
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - count: Bytes to wait for, at least one, at most `options.readBufferMax`.
    ///   - body: Gets all bytes that came, which may be more. It returns how many it used. If it
    ///     throws, it has used none.
    /// - Returns: What `body` returned.
    /// - Throws: As `read(exactly:)`; what `body` throws.
    @discardableResult
    public nonisolated(nonsending) func read(
        atLeast count: Int = 1, _ body: (RawSpan) throws -> Int
    ) async throws -> Int {
        try beginRead(count)
        precondition(count > 0, "a read that lends needs a count of 1 or more")
        while true {
            if let used = try lend(atLeast: count, body) { return used }
            if try mustWait(for: "\(count) bytes came") {
                readGoal = count == 1 ? .anyBytes : .count(count)
                try await readWaiter.wait(for: .bytes)
            }
        }
    }

    // MARK: Steps

    /// Bytes that a read into a caller's array gathers before it takes them.
    private static var gatheredMax: Int { 16_384 }

    /// Copies what is buffered, or receives once. How many bytes came.
    private func fill(_ buffer: inout [UInt8], from start: Int) throws -> Int {
        try buffer.withUnsafeMutableBytes { memory in
            let gap = UnsafeMutableRawBufferPointer(rebasing: memory[start...])
            if readBuffer.isEmpty { return try receive(into: gap) }
            let count = min(gap.count, readBuffer.count)
            readBuffer.withBytes { gap.copyMemory(from: .init(rebasing: $0[..<count])) }
            readBuffer.drop(count)
            return count
        }
    }

    /// Lends what there is, if it is enough; nil if it is not yet.
    private func lend(atLeast count: Int, _ body: (RawSpan) throws -> Int) throws -> Int? {
        if readBuffer.isEmpty {
            let received = try receive()
            let bytes = UnsafeRawBufferPointer(rebasing: loop.buffers.scratch[..<received])
            if received >= count { return try lendScratch(bytes, body) }
            readBuffer.append(bytes)
        }
        while readBuffer.count < count {
            guard try fillBuffer() else { return nil }
        }
        isInParser = true
        defer { isInParser = false }
        let used = try readBuffer.withBytes { try checked(body($0.bytes), of: $0.count) }
        readBuffer.drop(used)
        return used
    }

    private func lendScratch(
        _ bytes: UnsafeRawBufferPointer, _ body: (RawSpan) throws -> Int
    ) throws -> Int {
        // What `body` does must not receive into what it is looking at.
        let lent = loop.buffers.lendScratch()
        isInParser = true
        var used = 0
        defer {
            isInParser = false
            if used < bytes.count {
                readBuffer.append(UnsafeRawBufferPointer(rebasing: bytes[used...]))
            }
            loop.buffers.takeBackScratch(lent)
        }
        used = try checked(body(bytes.bytes), of: bytes.count)
        return used
    }

    private func checked(_ used: Int, of count: Int) -> Int {
        guard 0...count ~= used else {
            Misuse.stop("A closure that was lent \(count) bytes says that it used \(used).")
        }
        return used
    }
}
