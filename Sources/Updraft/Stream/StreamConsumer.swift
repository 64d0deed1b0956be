/// A protocol's parser that takes a stream's bytes in callbacks, without a task.
package final class StreamConsumer {
    /// Looks at the bytes received so far and returns how many it is done with. The rest comes
    /// again, with more behind it. The bytes are valid during the call only.
    package let onBytes: (UnsafeRawBufferPointer) throws -> Int

    /// Called once, in a later turn: with `.endOfStream` when the peer has ended its direction (the
    /// stream is still open for writing), with the reason when the stream is closed, or with what
    /// `onBytes` threw.
    package let onEnd: (any Error) -> Void

    init(
        onBytes: @escaping (UnsafeRawBufferPointer) throws -> Int,
        onEnd: @escaping (any Error) -> Void
    ) {
        self.onBytes = onBytes
        self.onEnd = onEnd
    }
}

extension IOStream {
    /// Gives the stream's bytes to a parser, from now on and until the end; nobody else may read.
    package func consume(
        onBytes: @escaping (UnsafeRawBufferPointer) throws -> Int,
        onEnd: @escaping (any Error) -> Void
    ) {
        loop.checkThread("IOStream")
        precondition(!readWaiter.isInUse && consumer == nil, "a stream has one reader")
        consumer = StreamConsumer(onBytes: onBytes, onEnd: onEnd)
        pumpConsumer()
    }

    /// Stops giving bytes to the parser until `resumeConsuming`, so that the peer is held back by
    /// the kernel's flow control. Takes effect after the current call of `onBytes`.
    package func pauseConsuming() {
        isConsumerPaused = true
    }

    /// Goes on after `pauseConsuming`, in the next turn.
    package func resumeConsuming() {
        guard isConsumerPaused else { return }
        isConsumerPaused = false
        loop.runSoon { [weak self] in self?.pumpConsumer() }
    }

    /// Gives the parser what the kernel has already, although no event has told of it yet.
    package func consumeNow() {
        loop.checkThread("IOStream")
        readiness.insert(.read)
        pumpConsumer()
    }

    /// Bytes that the parser has left for later.
    package var unparsedBytes: Int { readBuffer.count }

    func pumpConsumer() {
        // Events go on to come while paused; they must not bring the parser anything. A parser that
        // is at work gets what is asked for here when it returns.
        guard case .open = phase, !isConsumerPaused, !isInParser else { return }
        // What was left behind while paused is complete messages: they are looked at first.
        if !readBuffer.isEmpty, !offerBuffer() { return }
        while consumer != nil, !isConsumerPaused {
            let received: Int
            do {
                // How much it leaves behind is its own affair.
                received = try receive(into: loop.buffers.scratch)
            } catch {
                return
            }
            guard received > 0 else { break }
            if !offer(received) { return }
        }
        guard let consumer, !isConsumerPaused else { return }
        if input == .ended {
            self.consumer = nil
            loop.runSoon {
                consumer.onEnd(StreamError(.endOfStream, "The peer ended the stream."))
            }
        } else if isOverBudget {
            takeInputSoon()
        }
    }

    /// Straight from the loop's scratch memory if nothing was left behind before.
    private func offer(_ received: Int) -> Bool {
        let bytes = UnsafeRawBufferPointer(rebasing: loop.buffers.scratch[..<received])
        guard readBuffer.isEmpty, let consumer else {
            readBuffer.append(bytes)
            return offerBuffer()
        }
        let lent = loop.buffers.lendScratch()
        isInParser = true
        defer {
            isInParser = false
            loop.buffers.takeBackScratch(lent)
        }
        do {
            let used = try consumer.onBytes(bytes)
            if used < received, self.consumer != nil {
                readBuffer.append(UnsafeRawBufferPointer(rebasing: bytes[used...]))
            }
            return self.consumer != nil
        } catch {
            return endConsumer(error)
        }
    }

    private func offerBuffer() -> Bool {
        guard let consumer else { return false }
        isInParser = true
        defer { isInParser = false }
        do {
            let used = try readBuffer.withBytes(consumer.onBytes)
            readBuffer.drop(used)
            return self.consumer != nil
        } catch {
            return endConsumer(error)
        }
    }

    private func endConsumer(_ error: any Error) -> Bool {
        guard let consumer else { return false }
        self.consumer = nil
        consumer.onEnd(error)
        return false
    }
}
