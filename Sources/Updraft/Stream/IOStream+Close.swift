// Closing: contract rows J8-J10, J15.
extension IOStream {
    /// Closes the stream after what was written has been sent: the peer gets every byte, then the
    /// end. A read that waits fails; later ones have what is buffered. Calling it again does
    /// nothing.
    ///
    /// It returns at once; the rest happens on the loop, for at most `options.closeTimeout`. See
    /// `closed()` to wait for it.
    ///
    /// A socket that is closed with input unread resets the connection, and its peer may lose the
    /// last bytes by that. So if some lies there when everything is sent, the stream goes on to
    /// read, and drops what comes, until the peer's end, for a second at the most. Bytes that are
    /// still on their way to this side at that moment can't be known of: they bring the peer a
    /// reset.
    public func close() {
        close(lingering: nil)
    }

    /// Closes as `close` does, but goes on to read and drop what the peer sends for so long,
    /// whether or not any of it has come yet: for a peer that is known to be sending.
    package func close(lingering: Duration?) {
        loop.checkThread("IOStream.close")
        guard case .open = phase else { return }
        phase = .closing
        isClosedHere = true
        closing = Closing(lingerTime: lingering)
        readWaiter.fire(closedHere)
        sendPending()
        // Mostly all is sent by now.
        guard case .closing = phase else { return }
        limitClosing(to: options.closeTimeout) { [unowned self] in
            finish(
                StreamError(.closed, "Closing took longer than \(options.closeTimeout)."),
                abort: true)
        }
    }

    /// Closes the stream at once: unsent bytes are dropped, and the peer gets a reset.
    public func abort() {
        loop.checkThread("IOStream.abort")
        finish(StreamError(.closed, "The stream was aborted by this side."), abort: true)
    }

    /// For a server that stops: a read that waits with nothing buffered, so for the first byte of
    /// something new, sees the end of the stream, now or when it comes to wait. One that has part
    /// of what it waits for goes on.
    package func endInputWhenIdle() {
        loop.checkThread("IOStream")
        isDraining = true
        (transport as? any LayeredTransport)?.inputIsEnding()
        if readWaiter.isWaiting, isIdleRead { readWaiter.fire() }
    }

    /// Waits until the stream is closed and its descriptor freed, whoever closed it.
    ///
    /// As with `onClose`, the peer's end closes a stream that nobody reads, from the call on and
    /// for good: also after this wait was cancelled or ran into a time-out. With
    /// `options.allowsHalfOpen` it does not.
    ///
    /// - Throws: `CancellationError`; `TimeoutError`.
    public nonisolated(nonsending) func closed() async throws {
        loop.checkThread("IOStream.closed")
        noticeEnds()
        while !isReleased {
            lingering?.onRelease = { [weak self] in self?.tellClosed() }
            let waiter = Waiter(loop: loop)
            let callback = CloseCallback { waiter.fire() }
            closeCallbacks.append(callback)
            defer { closeCallbacks.removeAll { $0 === callback } }
            try await waiter.wait(for: .closing)
        }
    }

    private var isReleased: Bool {
        if case .closed = phase { return lingering == nil }
        return false
    }

    /// The layer that still has last words to send, although the stream is closed.
    private var lingering: (any LayeredTransport)? {
        var transport = transport
        while let layer = transport as? any LayeredTransport {
            if layer.isLingering { return layer }
            transport = layer.base
        }
        return nil
    }

    /// As `abort`, also for what is left of a closed stream.
    package func cut() {
        abort()
        lingering?.abort()
    }

    /// Calls `callback` once, in a later turn, when the stream is closed, whoever closed it (J9).
    ///
    /// Somebody wants to know when the peer is gone. So from here on the peer's end of its
    /// direction closes the stream, if nothing reads at that time, all that came was read and all
    /// that was written is sent; unless `options.allowsHalfOpen`. A reader learns of the end by
    /// itself, and the stream stays open for an answer.
    public func onClose(_ callback: @escaping () -> Void) {
        whenClosed(callback)
        noticeEnds()
    }

    /// As `onClose`, for what reads or leaves the end to others.
    package func whenClosed(_ callback: @escaping () -> Void) {
        loop.checkThread("IOStream.onClose")
        if case .closed = phase {
            loop.runSoon(callback)
        } else {
            closeCallbacks.append(CloseCallback(callback))
        }
    }

    private func noticeEnds() {
        // Where nothing can be read there is no end to be met; a failure is told by itself.
        let isWriteOnly = (transport as? any OneWayTransport)?.isWriteOnly ?? false
        guard !noticesEnd, !options.allowsHalfOpen, !isWriteOnly else { return }
        noticesEnd = true
        noticeEndSoon()
    }

    /// Looks in the next turn whether the peer has ended a stream that nobody reads then.
    func noticeEndSoon() {
        guard case .open = phase, noticesEnd, input == .open, mayHaveEnded else { return }
        loop.runSoon { [weak self] in self?.noticeEnd() }
    }

    /// Sockets tell of an end apart from bytes, where the poller does; other transports don't.
    private var mayHaveEnded: Bool {
        let tellsEnds = transport.descriptor != nil && !loop.poller.needsRearm
        return readiness.contains(tellsEnds ? .readHangup : .read)
    }

    private func noticeEnd() {
        guard case .open = phase, input == .open, mayHaveEnded, consumer == nil,
            !readWaiter.isInUse, readBuffer.isEmpty, writeQueue.isEmpty
        else { return }
        // What fails has closed the stream.
        guard let hasBytes = try? fillBuffer(), !hasBytes, input == .ended else { return }
        finish(StreamError(.endOfStream, "The peer closed the connection."))
    }

    /// Everything was sent and `close` was called.
    func finishClosing() {
        // What a stream of standard input leaves is for whoever reads it next.
        guard input == .open, !(transport is StandardTransport),
            closing?.lingerTime != nil || hasUnreadInput()
        else { return finish(closedHere) }
        phase = .lingering
        endOutput()
        limitClosing(to: closing?.lingerTime ?? IOStream.lingerTime) { [unowned self] in
            finish(closedHere)
        }
        discardInput()
    }

    private func endOutput() {
        if output == .ended { return }
        output = .ended
        transport.shutdownWrite()
    }

    /// Whether bytes lie unread where closing would bring their sender a reset. What else the look
    /// finds, an end or a failure, has come behind this side's own closing.
    private func hasUnreadInput() -> Bool {
        // The others lose nothing that they were given.
        guard socket != nil else { return false }
        // A layer that finds its peer gone says nothing more, not even that this side has ended.
        if transport is any LayeredTransport { endOutput() }
        // Whatever is known of readiness: they may have come since the last poll.
        let byte = UnsafeMutableRawBufferPointer(rebasing: loop.buffers.scratch[..<1])
        guard case .bytes(let count)? = try? transport.read(into: byte) else { return false }
        spend(count)
        // No event has to tell of those behind it.
        readiness.insert(.read)
        return true
    }

    private static var lingerTime: Duration { .seconds(1) }

    /// What its own side's closing is to a stream.
    var closedHere: StreamError {
        StreamError(.closed, "The stream was closed by this side.")
    }

    private func limitClosing(to limit: Duration, _ action: @escaping () -> Void) {
        if let timer = closing?.timer { loop.timers.remove(timer) }
        let deadline = loop.now.advanced(by: limit).nanoseconds
        closing?.timer = loop.timers.add(deadline: deadline, action: action)
    }

    /// Reads and drops what a lingering stream's peer sends, its share in each turn.
    func discardInput() {
        do {
            while try receiveShare(into: loop.buffers.scratch) > 0 {}
        } catch {
            return
        }
        if input == .ended {
            return finish(closedHere)
        }
        if isOverBudget { takeInputSoon() }
    }

    /// The end, however it came: frees the transport and answers every waiter once.
    func finish(_ reason: StreamError, abort: Bool = false) {
        if case .closed = phase { return }
        phase = .closed(reason)
        if let timer = closing?.timer { loop.timers.remove(timer) }
        closing = nil
        unwatchTransport()
        if abort { transport.abort() } else { transport.close() }
        loop.openStreams -= 1
        droppedTotal = UInt64(writeQueue.count)
        writeQueue.removeAll(&loop.buffers)
        lowUnsentRequest = nil
        let consumer = consumer
        self.consumer = nil
        answerSendLine(reason)
        tellClosed()
        if let consumer { loop.runSoon { consumer.onEnd(reason) } }
        // Without the reason: what is buffered may satisfy the read; if not, it meets the reason.
        readWaiter.fire()
    }

    private func tellClosed() {
        let callbacks = closeCallbacks
        closeCallbacks = []
        for callback in callbacks { loop.runSoon(callback.action) }
    }
}
