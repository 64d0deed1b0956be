// Writing: contract row J2, and DESIGN's "writes that mean it".
extension IOStream {
    /// Writes bytes: they are accepted, in order, when this returns, and leave at the end of the
    /// turn, together with whatever else was written in it; a turn's share of them leaves at once.
    ///
    /// Waits while more than `options.highWaterMark` bytes are unsent, until no more than
    /// `options.lowWaterMark` are. See `writeAndFlush` for "these have left this process", and
    /// `flush` for "everything has".
    ///
    /// One task that writes, and waits for each of its writes, is never refused. But a wait that is
    /// given up leaves its bytes behind, and many tasks may write at once: while more than
    /// `options.writeBufferMax` bytes are unsent, nothing more is accepted. A single write may be
    /// longer than that.
    ///
    /// - Throws: `StreamError` with `.closed` if the stream is or becomes closed, or `.bufferFull`,
    ///   with nothing queued, if more than `options.writeBufferMax` bytes are unsent already;
    ///   `CancellationError` or `TimeoutError` while it waits (the bytes stay accepted).
    public nonisolated(nonsending) func write(_ bytes: [UInt8]) async throws {
        try checkWritable()
        try checkRoom(behindOthers: bytes.count)
        accept(bytes)
        try sendWholeShare()
        if writeQueue.count > sharedOptions.highMark { try await waitForRoom() }
    }

    /// Writes text as UTF-8; see `write(_:)` for bytes.
    public nonisolated(nonsending) func write(_ text: String) async throws {
        try await write(Array(text.utf8))
    }

    /// Writes several pieces in their order, without joining them: those of 4 KiB or more leave
    /// uncopied, and up to 64 pieces in one system call, as far as the stream's share of the turn
    /// goes; smaller ones are gathered first. See `write(_:)` for the rest.
    public nonisolated(nonsending) func write(pieces: [[UInt8]]) async throws {
        try accept(pieces: pieces)
        try sendWholeShare()
        if writeQueue.count > sharedOptions.highMark { try await waitForRoom() }
    }

    /// Writes without waiting, from callbacks and handlers.
    ///
    /// `enqueue(_:onSent:)` tells when they have left.
    ///
    /// - Throws: `StreamError` with `.bufferFull` if more than `options.writeBufferMax` bytes would
    ///   be unsent (nothing is queued then), with `.closed` if the stream is closed.
    public func enqueue(_ bytes: [UInt8]) throws {
        try checkWritable()
        try checkRoom(for: bytes.count)
        accept(bytes)
    }

    /// Writes borrowed bytes without waiting, such as an array's or those of an array of numbers:
    /// they are copied, and may change as soon as this returns. See `enqueue(_:)` for the rest.
    ///
    /// ```swift
    /// let samples: [UInt16] = [1, 2, 3]
    /// try stream.enqueue(samples.span.bytes)      // six bytes, in this machine's order
    /// ```
    ///
    /// From 4 KiB on an array that nobody else needs is cheaper as one: it is not copied.
    public func enqueue(_ bytes: RawSpan) throws {
        try bytes.withUnsafeBytes { try enqueue(copying: $0) }
    }

    /// Writes text as UTF-8 without waiting; see `enqueue(_:)` for bytes.
    public func enqueue(_ text: String) throws {
        try enqueue(Array(text.utf8))
    }

    /// Copies bytes that are valid during the call only; otherwise as `enqueue(_:)`.
    package func enqueue(copying bytes: UnsafeRawBufferPointer) throws {
        try checkWritable()
        try checkRoom(for: bytes.count)
        writeQueue.append(bytes, pool: &loop.buffers)
        written(bytes.count)
    }

    /// Ends the sending direction after what was written: the peer's reads end, ours go on.
    /// Nothing can be written after it.
    public func endWriting() {
        loop.checkThread("IOStream.endWriting")
        guard case .open = phase, output == .open else { return }
        output = .ending
        if writeQueue.isEmpty { sendPending() }
    }

    /// Sends what was written now instead of at the end of the turn, as far as the kernel takes it.
    ///
    /// It tries although no event has told of room: the kernel tells of it only when a third of
    /// its buffer is free, which with a slow reader can be megabytes and minutes apart. Nor does
    /// the stream's share of the turn count: who asks for this would give the stream up otherwise.
    package func sendNow() {
        loop.checkThread("IOStream")
        readiness.insert(.write)
        sendPending(pastShare: true)
    }

    /// Bytes that have left this process so far: grows as long as the peer takes any.
    package var sentBytes: UInt64 { sentTotal }

    /// Calls `callback` once, in a later turn, when no more than so many bytes are unsent. It
    /// replaces an earlier request; a stream that is closed forgets it.
    package func whenUnsent(atMost bytes: Int, _ callback: @escaping () -> Void) {
        loop.checkThread("IOStream")
        lowUnsentRequest = LowUnsentRequest(bytes: bytes, callback: callback)
        answerLowUnsentRequest()
    }

    // MARK: Steps

    private func answerLowUnsentRequest() {
        guard let request = lowUnsentRequest, writeQueue.count <= request.bytes else { return }
        lowUnsentRequest = nil
        loop.runSoon(request.callback)
    }

    /// For who has checked whether it may.
    func accept(_ bytes: [UInt8]) {
        writeQueue.append(bytes, pool: &loop.buffers)
        written(bytes.count)
    }

    /// For writes that wait. How many bytes they are.
    @discardableResult
    func accept(pieces: [[UInt8]]) throws -> Int {
        try checkWritable()
        let count = pieces.reduce(0) { $0 + $1.count }
        try checkRoom(behindOthers: count)
        for piece in pieces { accept(piece) }
        return count
    }

    func checkWritable() throws {
        loop.checkThread("IOStream")
        if case .closed(let reason) = phase { throw reason }
        guard case .open = phase, output == .open else {
            throw StreamError(.closed, "The stream was closed for writing by this side.")
        }
    }

    /// - Throws: `StreamError` with `.bufferFull` if so much more would be too much in memory.
    func checkRoom(for count: Int) throws {
        let unsent = writeQueue.count - writeQueue.fileCount
        let calls = sendLine?.callbackBytes ?? 0
        guard unsent + calls + count > options.writeBufferMax else { return }
        let besides = calls == 0 ? "" : ", and \(calls) bytes of calls wait for that"
        throw StreamError(
            .bufferFull,
            "\(unsent) bytes are unsent\(besides); the limit is \(options.writeBufferMax).")
    }

    /// For writes that wait: however many bytes they bring, they are refused only where too many
    /// are unsent before them.
    func checkRoom(behindOthers count: Int) throws {
        if !writeQueue.isEmpty, count > 0 { try checkRoom(for: 0) }
    }

    func written(_ count: Int) {
        writtenTotal += UInt64(count)
        if !isInFlushQueue, count > 0 {
            isInFlushQueue = true
            loop.flushQueue.append(self)
        }
    }

    /// A turn's share has nothing more to wait for. Sent now, its memory serves what comes next,
    /// instead of one share being held for each stream that writes in this turn.
    private func sendWholeShare() throws {
        if writeQueue.count >= loop.limits.streamBytesMax { try sendNowOrThrow() }
    }

    /// - Throws: Why the stream has closed, if it fails here and now.
    private func sendNowOrThrow() throws {
        sendPending()
        if case .closed(let reason) = phase { throw reason }
    }

    private nonisolated(nonsending) func waitForRoom() async throws {
        try sendNowOrThrow()
        guard writeQueue.count > sharedOptions.highMark else { return }
        let excess = writeQueue.count - sharedOptions.lowMark
        try await waitUntilSent(sentTotal + UInt64(excess), .room)
    }

    /// Sends as much as the transport takes now.
    ///
    /// - Parameter pastShare: Whether it sends more than its share of the turn, up to what the
    ///   kernel takes: there is no later turn, or it would be too late then. Not of files, which
    ///   may be longer than anybody would wait for.
    func sendPending(pastShare: Bool = false) {
        if case .closed = phase { return }
        do {
            while !writeQueue.isEmpty, readiness.contains(.write) {
                let share = sendShareLeft(pastShare: pastShare)
                if share <= 0 {
                    sendLater()
                    break
                }
                let (before, filesBefore) = (writeQueue.count, writeQueue.fileCount)
                let isAllSent = try writeQueue.send(
                    to: transport, atMost: share, pool: &loop.buffers)
                spend(filesBefore - writeQueue.fileCount, sent: before - writeQueue.count)
                if !isAllSent { drained(.write) }
            }
        } catch let error as StreamError {
            // The peer must not take what came for all there is.
            return finish(error, abort: true)
        } catch {
            return fail(error)
        }
        if writeQueue.isEmpty { allSent() }
        answerLowUnsentRequest()
        wakeSendLine()
    }

    /// The loop's other streams have their share first.
    private func sendLater() {
        guard !isSendScheduled else { return }
        isSendScheduled = true
        loop.runSoon { [weak self] in
            guard let self else { return }
            isSendScheduled = false
            sendPending()
        }
    }

    private func allSent() {
        if output == .ending {
            output = .ended
            transport.shutdownWrite()
        }
        if case .closing = phase { return finishClosing() }
        // The peer's end may have come while bytes were unsent; no event tells of it again.
        if noticesEnd { noticeEndSoon() }
    }
}

extension IOStream: OutputSink {}

extension IOStream: Flushable {
    func flushTurn() {
        isInFlushQueue = false
        sendPending()
    }
}
