internal import Logging
internal import MessagePack
internal import Updraft

// The end of a connection, however it comes: see `docs/rpc.md`.
extension RPCPeer {
    /// Closes the connection after what was written has been sent. Our calls fail at once, the
    /// peer's requests in progress are cancelled. Calling it again does nothing.
    ///
    /// A synchronous method may close its caller's connection: the answer is still sent.
    public func close() {
        loop.checkThread("RPCPeer.close")
        guard !isClosed else { return }
        beginClosing(lingering: RPCPeer.lingerTime)
    }

    /// Closes the connection at once; what is unsent is dropped.
    public func abort() {
        loop.checkThread("RPCPeer.abort")
        if !isClosed { endWork("The connection was closed by this side.") }
        stream.abort()
    }

    /// Takes what the kernel has received already, then no further requests; closes when those in
    /// progress are answered.
    func drain() {
        guard case .open = phase else { return }
        // A method that stops its server: the other requests that came with it are answered first.
        if dispatchDepth > 0 { return loop.addCallback { [self] in drain() } }
        stream.consumeNow()
        guard case .open = phase else { return }
        phase = .draining(isPeerSending: false)
        closeIfDone()
    }

    /// Closes a connection that takes no more requests and has answered all.
    func closeIfDone() {
        guard intake.inProgress == 0 else { return }
        switch phase {
        case .draining(let isPeerSending):
            beginClosing(lingering: isPeerSending ? RPCPeer.lingerTime : nil)
        case .inputEnded:
            beginClosing(lingering: nil)
        case .open, .closing, .closed:
            break
        }
    }

    /// - Parameter reason: What our calls are told.
    private func beginClosing(
        lingering: Duration?, reason: String = "The connection was closed by this side."
    ) {
        endWork(reason)
        // A method that closes its caller's connection has yet to write its answer.
        guard dispatchDepth > 0 else { return stream.close(lingering: lingering) }
        loop.runSoon { [self] in stream.close(lingering: lingering) }
    }

    private func endWork(_ reason: String) {
        phase = .closing
        stopMessageTimer()
        failCalls(.lost(reason))
        for request in tasks.values { request.task.cancel() }
    }

    func inputEnded(_ reason: any Error) {
        guard !isClosed else { return }
        switch reason {
        case let error as StreamError:
            guard error.code == .endOfStream else { return }
            if stream.unparsedBytes > 0 {
                context.log.debug("\(self) ended its direction in the middle of a message")
            }
            phase = .inputEnded
            failCalls(.lost("The peer ended its direction."))
            closeIfDone()
        case let error as MessagePackError:
            refuse("the messages can't be understood any further: \(error.message)")
        case let error as RPCError:
            refuse(error.message)
        default:
            refuse("the messages can't be understood any further")
        }
    }

    func messageTimedOut() {
        switch phase {
        case .open, .draining:
            refuse(
                "a message was not complete within \(options.messageTimeout)",
                reason: "The peer began a message and did not complete it within "
                    + "\(options.messageTimeout), so the connection was closed.")
        case .inputEnded, .closing, .closed:
            break
        }
    }

    /// The framing is lost: tells the peer once, and goes.
    ///
    /// - Parameter reason: What our calls are told; by default that the peer speaks something else.
    private func refuse(_ text: String, reason: String? = nil) {
        context.log.debug("\(self): \(text)")
        answerError(0, text)
        beginClosing(
            lingering: RPCPeer.lingerTime,
            reason: reason ?? "What the peer sends is no MessagePack-RPC: \(text).")
    }

    func connectionEnded() {
        if case .closed = phase { return }
        phase = .closed
        stopStallWatch()
        stopMessageTimer()
        failCalls(.lost("The connection was lost.", cause: stream.closeReason))
        for request in tasks.values { request.task.cancel() }
        let callbacks = closeCallbacks
        let waiters = endWaiters
        closeCallbacks = []
        endWaiters = []
        for callback in callbacks { callback(self) }
        for waiter in waiters { waiter.fire() }
    }

    private func failCalls(_ error: RPCError) {
        for call in calls.takeAll() { call.fail(error) }
    }
}
