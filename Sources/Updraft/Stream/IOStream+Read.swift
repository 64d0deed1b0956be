// Reading: contract rows J3-J7, J17.
extension IOStream {
    /// Reads what is there, at least one byte.
    ///
    /// - Parameter count: Bytes to return at the most; 0 returns none at once.
    /// - Throws: `StreamError` with `.endOfStream` when the peer has ended its direction, with
    ///   `.closed` when the stream is closed; `CancellationError`; `TimeoutError`.
    public nonisolated(nonsending) func read(upTo count: Int) async throws -> [UInt8] {
        try beginRead(count)
        if count == 0 { return [] }
        while true {
            if let bytes = try takeAvailable(upTo: count) { return bytes }
            if try mustWait(for: "any byte came") { try await readWaiter.wait(for: .bytes) }
        }
    }

    /// Reads exactly so many bytes.
    ///
    /// - Parameter count: Bytes, at most `options.readBufferMax`; 0 returns none at once.
    /// - Throws: As `read(upTo:)`; also `.endOfStream` if the peer ends its direction with fewer
    ///   bytes sent (those can still be read), and `.bufferFull` if the count is above the limit.
    public nonisolated(nonsending) func read(exactly count: Int) async throws -> [UInt8] {
        try beginRead(count)
        if count == 0 { return [] }
        while readBuffer.count < count {
            if try fillBuffer() { continue }
            if try mustWait(for: "\(count) bytes came") {
                readGoal = .count(count)
                try await readWaiter.wait(for: .bytes)
            }
        }
        return readBuffer.take(count)
    }

    /// Reads up to and with a delimiter.
    ///
    /// Linear in the bytes, however they are cut into packets.
    ///
    /// - Parameters:
    ///   - delimiter: At least one byte. Part of the result.
    ///   - maxBytes: The result's length at the most, with the delimiter.
    /// - Throws: As `read(upTo:)`; `.unsatisfiableRead` if the delimiter does not end within
    ///   `maxBytes`. The stream is closed then (J4), after what was written has been sent: what
    ///   follows can't be made sense of. With `options.staysOpenPastLimit` it stays as it is, and
    ///   another read may take the bytes.
    public nonisolated(nonsending) func read(
        until delimiter: [UInt8], maxBytes: Int = 65_536
    ) async throws -> [UInt8] {
        let maxBytes = min(maxBytes, options.readBufferMax)
        try beginRead(maxBytes)
        // Most lines come in one piece.
        repeat {
            if let bytes = try takeUntil(delimiter, maxBytes) { return bytes }
            guard readBuffer.isEmpty else { break }
            if try mustWait(for: "the delimiter came") { try await readWaiter.wait(for: .bytes) }
        } while readBuffer.isEmpty
        let search = DelimiterSearch(delimiter, maxBytes: maxBytes)
        while !search.isDone(in: readBuffer) {
            if try fillBuffer() { continue }
            if try mustWait(for: "the delimiter came") {
                readGoal = .delimiter(search)
                try await readWaiter.wait(for: .bytes)
            }
        }
        if let length = search.found { return readBuffer.take(length) }
        throw giveUp("The delimiter did not come within \(maxBytes) bytes.")
    }

    /// Reads up to and with a delimiter, given as text; see the form for bytes.
    public nonisolated(nonsending) func read(
        until delimiter: String, maxBytes: Int = 65_536
    ) async throws -> [UInt8] {
        try await read(until: Array(delimiter.utf8), maxBytes: maxBytes)
    }

    /// Reads everything until the peer ends its direction. On a stream that this side has closed:
    /// what was received before.
    ///
    /// - Throws: `StreamError` with `.bufferFull` if there is more than `options.readBufferMax`;
    ///   with `.closed` if the connection fails, if this side closes it meanwhile, or has closed it
    ///   and nothing is buffered. What was received stays readable.
    public nonisolated(nonsending) func readToEnd() async throws -> [UInt8] {
        try beginRead(0)
        // Whoever has closed it does not take this for all that the peer has to say.
        if isClosedHere, !readBuffer.isEmpty { return readBuffer.take(readBuffer.count) }
        while true {
            if readBuffer.count > options.readBufferMax {
                throw StreamError(
                    .bufferFull, "More than \(options.readBufferMax) bytes came before the end.")
            }
            if try fillBuffer() { continue }
            if input == .ended { return readBuffer.take(readBuffer.count) }
            if try mustWait(for: "the end") {
                readGoal = .count(options.readBufferMax + 1)
                try await readWaiter.wait(for: .bytes)
            }
        }
    }

    /// The next bytes, or nil at the peer's end of the stream.
    @usableFromInline
    nonisolated(nonsending) func nextChunk() async throws -> [UInt8]? {
        try beginRead(0)
        while true {
            if let bytes = try takeAvailable(upTo: BufferPool.readChunk) { return bytes }
            if input == .ended { return nil }
            if try mustWait(for: "any byte came") { try await readWaiter.wait(for: .bytes) }
        }
    }

    // MARK: Steps

    func beginRead(_ count: Int) throws {
        loop.checkThread("IOStream")
        if readWaiter.isInUse || consumer != nil {
            throw StreamError(.readPending, "Another task is reading from this stream.")
        }
        if count > options.readBufferMax {
            throw StreamError(
                .bufferFull,
                "A read of \(count) bytes is above the limit of \(options.readBufferMax).")
        }
        precondition(count >= 0, "a read needs a count of 0 or more")
        readGoal = .anyBytes
        hasPartOfRead = false
        if noticesEnd { noticeEndSoon() }
    }

    /// Bytes that are buffered or can be received now, or nil if there are none now.
    private func takeAvailable(upTo count: Int) throws -> [UInt8]? {
        if !readBuffer.isEmpty { return readBuffer.take(min(count, readBuffer.count)) }
        let received = try receive()
        guard received > 0 else { return nil }
        let bytes = UnsafeRawBufferPointer(rebasing: loop.buffers.scratch[..<received])
        if received > count {
            readBuffer.append(UnsafeRawBufferPointer(rebasing: bytes[count...]))
        }
        return [UInt8](copying: bytes, min(count, received))
    }

    /// The way of most lines: all of it in the buffer, or in what is received now.
    private func takeUntil(_ delimiter: [UInt8], _ maxBytes: Int) throws -> [UInt8]? {
        precondition(!delimiter.isEmpty, "a delimiter needs at least one byte")
        var scanner = DelimiterScanner(delimiter)
        guard readBuffer.isEmpty else {
            let found = readBuffer.withBytes { scanner.find(in: $0) }
            guard let found, found <= maxBytes else { return nil }
            return readBuffer.take(found)
        }
        let received = try receive()
        guard received > 0 else { return nil }
        let bytes = UnsafeRawBufferPointer(rebasing: loop.buffers.scratch[..<received])
        guard let found = scanner.find(in: bytes), found <= maxBytes else {
            readBuffer.append(bytes)
            return nil
        }
        if found < received { readBuffer.append(UnsafeRawBufferPointer(rebasing: bytes[found...])) }
        return [UInt8](copying: bytes, found)
    }

    /// Receives once and adds to the buffer. Whether anything came.
    func fillBuffer() throws -> Bool {
        let received = try receive()
        guard received > 0 else { return false }
        readBuffer.append(UnsafeRawBufferPointer(rebasing: loop.buffers.scratch[..<received]))
        return true
    }

    /// Receives once into the loop's scratch memory, if the transport is ready: not more than is
    /// left of this stream's share of the turn, nor more than it may hold, so that what is left
    /// over has room in its buffer.
    ///
    /// - Returns: Bytes received; 0 if there are none now, or no more.
    /// - Throws: Why the stream is closed, or closing, and receives nothing any more.
    func receive() throws -> Int {
        try receive(into: scratchForRoom)
    }

    /// As much of the scratch memory as the buffer has room for: a byte at least, by which a read
    /// to the end learns that there is more.
    var scratchForRoom: UnsafeMutableRawBufferPointer {
        let room = max(1, sharedOptions.value.readBufferMax - readBuffer.count)
        let scratch = loop.buffers.scratch
        return room >= scratch.count ? scratch : .init(rebasing: scratch[..<room])
    }

    /// As `receive()`, into other memory.
    func receive(into memory: UnsafeMutableRawBufferPointer) throws -> Int {
        switch phase {
        case .open: break
        case .closing, .lingering: throw closedHere
        // One that closed itself at its end has simply ended for its reader.
        case .closed(let reason): if reason.code != .endOfStream { throw reason }
        }
        return try receiveShare(into: memory)
    }

    /// As `receive(into:)`, also for what is to be dropped.
    func receiveShare(into memory: UnsafeMutableRawBufferPointer) throws -> Int {
        guard readiness.contains(.read), input == .open else { return 0 }
        let share = budgetLeft
        if share >= memory.count { return try receiveOnce(into: memory) }
        if share <= 0 { return 0 }
        return try receiveOnce(into: UnsafeMutableRawBufferPointer(rebasing: memory[..<share]))
    }

    /// One read of the transport. A failure closes the stream.
    ///
    /// - Parameter memory: At least one byte.
    func receiveOnce(into memory: UnsafeMutableRawBufferPointer) throws -> Int {
        do {
            switch try transport.read(into: memory) {
            case .bytes(let count):
                spend(count)
                // A short read has emptied the socket, unless its end is still to be read, or
                // reads stop short of what they could bring.
                if count < memory.count, !readiness.meets([.readHangup, .shortReads]) {
                    drained(.read)
                }
                return count
            case .wouldBlock:
                drained(.read)
            case .endOfStream:
                input = .ended
            }
            return 0
        } catch {
            throw finish(failedBy: error)
        }
    }

    /// Notes that the transport has to say when it is ready again.
    func drained(_ direction: IOEvents) {
        readiness.subtract(direction)
        if loop.poller.needsRearm, let descriptor = transport.descriptor {
            loop.poller.rearm(descriptor, events: direction)
        }
    }

    /// Whether to wait for the transport before the next attempt; throws if waiting is in vain.
    ///
    /// - Parameter what: What the read was for, to end a sentence with.
    func mustWait(for what: @autoclosure () -> String) throws -> Bool {
        if case .closed(let reason) = phase { throw reason }
        if input == .ended {
            throw StreamError(.endOfStream, "The stream ended before \(what()).")
        }
        if isDraining, isIdleRead, !isOverBudget {
            // What the kernel has already is in flight, although no event has told of it yet.
            readiness.insert(.read)
            if try !fillBuffer() { input = .ended }
            return false
        }
        if isOverBudget { takeInputSoon() }
        return true
    }

    func giveUp(_ reason: String) -> StreamError {
        let error = StreamError(.unsatisfiableRead, reason)
        if options.staysOpenPastLimit { return error }
        // What was written before is still sent, and what the peer goes on to send must not bring
        // it a reset in place of that.
        close(lingering: .seconds(2))
        return error
    }
}
