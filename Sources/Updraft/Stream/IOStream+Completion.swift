// When bytes have left: contract row J2.
extension IOStream {
    /// Waits until everything written so far has left this process: the kernel has it.
    ///
    /// - Throws: `StreamError` with `.closed` if the stream closes first; `CancellationError` or
    ///   `TimeoutError` while it waits.
    public nonisolated(nonsending) func flush() async throws {
        loop.checkThread("IOStream.flush")
        let target = writtenTotal
        sendPending()
        try await waitUntilSent(target)
    }

    /// Writes bytes and waits until these have left this process: the kernel has them.
    ///
    /// They leave in the order of the calls, at once as far as the kernel takes them. What others
    /// write behind them is not waited for, which is what sets it apart from `write` and `flush`.
    /// An empty write is done at once, whatever is unsent before it. Over TLS, bytes that were
    /// encrypted together, some 64 KiB at the most, count as sent together.
    ///
    /// ```swift
    /// try await stream.writeAndFlush("saved\n")
    /// ```
    ///
    /// - Throws: `StreamError` with `.closed`, and the cause, if the stream is closed or closes
    ///   before all of them have left, with `.bufferFull` if more than `options.writeBufferMax`
    ///   bytes are unsent already (nothing is queued then; see `write`); `CancellationError` or
    ///   `TimeoutError` while it waits (the bytes stay accepted).
    public nonisolated(nonsending) func writeAndFlush(_ bytes: [UInt8]) async throws {
        try checkWritable()
        try checkRoom(behindOthers: bytes.count)
        accept(bytes)
        try await leave(bytes.count)
    }

    /// Writes text as UTF-8 and waits until it has left; see `writeAndFlush(_:)` for bytes.
    public nonisolated(nonsending) func writeAndFlush(_ text: String) async throws {
        try await writeAndFlush(Array(text.utf8))
    }

    /// Writes several pieces in their order, without joining them, and waits until all of them have
    /// left; see `writeAndFlush(_:)`.
    public nonisolated(nonsending) func writeAndFlush(pieces: [[UInt8]]) async throws {
        try await leave(accept(pieces: pieces))
    }

    /// Writes without waiting, and calls `onSent` once when these bytes have left this process:
    /// for callbacks and handlers that must know.
    ///
    /// ```swift
    /// try stream.enqueue(page) { result in
    ///     if case .success = result { pagesSent += 1 }
    /// }
    /// ```
    ///
    /// The calls come in the order of the writes, each in a later callback on the loop's thread,
    /// never inside this one or another call of the stream's; before those of `onClose`. Tasks that
    /// wait for their bytes go on in the same order. No bytes have left at once: their call comes
    /// next, whatever is unsent before them. A call that is outstanding counts against
    /// `options.writeBufferMax` with 128 bytes, or 1,536 if it takes task-locals along
    /// (`withoutContext` is without).
    ///
    /// `onSent` gets the running task's locals as they are now, as with `IOLoop.addCallback`. What
    /// it throws goes to `onUnhandledError`.
    ///
    /// - Parameter onSent: Gets success, also if `close` or `endWriting` was called meanwhile: both
    ///   send what was written. Or the reason why the stream closed before all of the bytes had
    ///   left.
    /// - Throws: As `enqueue(_:)`. `onSent` is not called then.
    public func enqueue(
        _ bytes: [UInt8], onSent: @escaping (Result<Void, StreamError>) throws -> Void
    ) throws {
        let callback = try callback(onSent, after: bytes.count)
        try enqueue(bytes)
        whenSent(bytes.count, callback)
    }

    /// Writes borrowed bytes without waiting, and calls `onSent` once when they have left; see
    /// `enqueue(_:onSent:)` for an array. They may change as soon as this returns.
    public func enqueue(
        _ bytes: RawSpan, onSent: @escaping (Result<Void, StreamError>) throws -> Void
    ) throws {
        let callback = try callback(onSent, after: bytes.byteCount)
        try enqueue(bytes)
        whenSent(bytes.byteCount, callback)
    }

    /// Writes text as UTF-8 without waiting, and calls `onSent` once when it has left; see
    /// `enqueue(_:onSent:)` for bytes.
    public func enqueue(
        _ text: String, onSent: @escaping (Result<Void, StreamError>) throws -> Void
    ) throws {
        try enqueue(Array(text.utf8), onSent: onSent)
    }

    // MARK: Steps

    /// Bytes that have left so far.
    var sentTotal: UInt64 { writtenTotal - droppedTotal - UInt64(writeQueue.count) }

    /// Waits for the bytes that were accepted last.
    private nonisolated(nonsending) func leave(_ count: Int) async throws {
        if count == 0 { return }
        let target = writtenTotal
        sendPending()
        try await waitUntilSent(target)
    }

    private func callback(
        _ action: @escaping (Result<Void, StreamError>) throws -> Void, after count: Int
    ) throws -> SendLine.Callback {
        try checkWritable()
        let callback = SendLine.Callback(action: action, context: loop.captureContext())
        try checkRoom(for: count + callback.bytes)
        return callback
    }

    private func whenSent(_ count: Int, _ callback: SendLine.Callback) {
        if count == 0 { return answer(.callback(callback), nil) }
        line.append(.callback(callback), at: writtenTotal)
    }

    private var line: SendLine {
        if let sendLine { return sendLine }
        let made = SendLine()
        sendLine = made
        return made
    }

    nonisolated(nonsending) func waitUntilSent(
        _ target: UInt64, _ goal: SendLine.Goal = .sent
    ) async throws {
        if case .closed(let reason) = phase {
            if sentTotal >= target { return }
            throw reason
        }
        guard sentTotal < target else { return }
        let waiter = Waiter(loop: loop)
        let line = line
        line.append(.task(waiter), at: target, for: goal)
        do {
            try await waiter.wait(for: .sending)
        } catch {
            line.taskGaveUp()
            throw error
        }
    }

    /// Answers those whose bytes have left.
    @inline(__always)
    func wakeSendLine() {
        if let sendLine { wake(sendLine) }
    }

    private func wake(_ line: SendLine) {
        while let party = line.popFirst(upTo: sentTotal) { answer(party, nil) }
        if line.isSpent, line === sendLine { sendLine = nil }
    }

    /// Answers everybody: the stream is closed.
    func answerSendLine(_ reason: StreamError) {
        guard let line = sendLine else { return }
        sendLine = nil
        wake(line)
        while let party = line.popFirst(upTo: .max) { answer(party, reason) }
    }

    /// Tasks and callbacks stand in one queue of the loop, which keeps them in order.
    private func answer(_ party: SendLine.Party, _ reason: StreamError?) {
        switch party {
        case .task(let waiter):
            waiter.fire(reason)
        case .callback(let callback):
            let result = reason.map { Result<Void, StreamError>.failure($0) } ?? .success(())
            loop.schedule("The callback of a write", callback.context) {
                try callback.action(result)
            }
        }
    }
}
