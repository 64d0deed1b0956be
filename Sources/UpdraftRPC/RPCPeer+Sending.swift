internal import Logging
internal import MessagePack
internal import Updraft

/// Looks from time to time whether a peer that has much unread takes any of it.
enum StallWatch {
    case off
    case on(timer: Timeout, sentBytes: UInt64, unchangedSince: LoopInstant)
}

// Sending, and what happens when the peer does not read.
extension RPCPeer {
    /// Messages from this size on are handed over instead of copied, in bytes.
    private static let handedOverMin = 16_384

    /// Queues a message; it leaves at the end of the turn.
    ///
    /// - Throws: `StreamError` if the stream is closed; `RPCError` if the peer was cut off.
    func send(_ writer: inout MessagePackWriter) throws {
        if stream.unsentBytes > options.unsentBytesMax { try makeRoom() }
        if writer.count >= RPCPeer.handedOverMin {
            try stream.enqueue(writer.takeBytes())
        } else {
            try writer.withUnsafeBytes { try stream.enqueue(copying: $0) }
        }
        if stream.unsentBytes > options.unsentHighMark { holdBack() }
    }

    /// - Throws: `RPCError` with `.messageTooLarge`.
    func checkSize(_ writer: MessagePackWriter, _ what: @autoclosure () -> String) throws {
        if writer.count > options.messageBytesMax {
            throw RPCError(
                .messageTooLarge,
                "\(what()) has \(writer.count) bytes, above the limit of "
                    + "\(options.messageBytesMax)")
        }
    }

    private func makeRoom() throws {
        stream.sendNow()
        guard stream.unsentBytes > options.unsentBytesMax else { return }
        context.log.info(
            "\(self) was cut off: it left \(stream.unsentBytes) bytes unread")
        abort()
        throw RPCError.lost(
            "The peer was cut off: it left more than \(options.unsentBytesMax) bytes unread."
        )
    }

    /// Reads nothing more from a peer that does not read.
    private func holdBack() {
        guard case .off = stallWatch else { return }
        // Not more than its share: a peer that takes whatever it is sent would have the turn alone,
        // one answer after the other, for as long as its requests last.
        stream.sendShareNow()
        guard stream.unsentBytes > options.unsentHighMark else { return }
        apply(intake.holdBack(true))
        watchStall(sentBytes: stream.sentBytes, unchangedSince: loop.now)
        stream.whenUnsent(atMost: options.unsentLowMark) { [weak self] in
            guard let self else { return }
            stopStallWatch()
            // What went away with its timer may have written, and be the one to wait for.
            guard case .off = stallWatch else { return }
            apply(intake.holdBack(false))
        }
    }

    private func watchStall(sentBytes: UInt64, unchangedSince: LoopInstant) {
        // Four looks in the time, so that it is exceeded by a quarter at the most.
        let timer = loop.runLater(options.stallTimeout / 4) { [weak self] in self?.checkStall() }
        stallWatch = .on(timer: timer, sentBytes: sentBytes, unchangedSince: unchangedSince)
    }

    private func checkStall() {
        guard case .on(_, let sentBytes, let unchangedSince) = stallWatch else { return }
        let now = loop.now
        stream.sendNow()
        if case .off = stallWatch { return }
        if stream.sentBytes != sentBytes {
            return watchStall(sentBytes: stream.sentBytes, unchangedSince: now)
        }
        if unchangedSince.duration(to: now) < options.stallTimeout {
            return watchStall(sentBytes: sentBytes, unchangedSince: unchangedSince)
        }
        context.log.info(
            "\(self) was cut off: \(stream.unsentBytes) bytes unread for \(options.stallTimeout)")
        abort()
    }

    func stopStallWatch() {
        guard case .on(let timer, _, _) = stallWatch else { return }
        stallWatch = .off
        loop.removeTimeout(timer)
    }
}
