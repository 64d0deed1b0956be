// Unsafe: datagrams are gathered in the loop's scratch memory and sent from it in one call.

internal import CUpdraft
internal import Logging

// Sending many datagrams with few system calls.
extension UDPSocket {
    /// Sends datagrams in their order, up to 32 with one system call (sendmmsg), as many as have
    /// room in 64 KiB together: the kernel has them, or they wait behind others, when this
    /// returns. Waits while `sendQueueMax` bytes or more are unsent; one call sends no more in a
    /// turn than a stream may.
    ///
    /// ```swift
    /// var rest = updates[...]
    /// while !rest.isEmpty { rest = rest.dropFirst(try await socket.sendBatch(Array(rest))) }
    /// ```
    ///
    /// - Returns: How many were accepted, from the first on. Fewer than all if something came in
    ///   between: the datagram behind them can't be sent, the socket was closed, the wait was
    ///   cancelled. Sending the rest throws what it was, if it still holds.
    /// - Throws: As `send`, if none was accepted.
    public nonisolated(nonsending) func sendBatch(_ batch: [OutgoingDatagram]) async throws -> Int {
        try checkOpen()
        var accepted = 0
        while accepted < batch.count {
            do {
                try await waitForTurnAndRoom()
                accepted += try acceptSome(of: batch[accepted...])
            } catch {
                if accepted == 0 { throw error }
                break
            }
        }
        return accepted
    }

    private nonisolated(nonsending) func waitForTurnAndRoom() async throws {
        if isOverBudget { try await loop.nextTurn() }
        try checkOpen()
        while unsentBytes >= options.sendQueueMax { try await waitForRoom() }
    }

    /// Sends with one system call, or queues up to the limit. At least one.
    private func acceptSome(of batch: ArraySlice<OutgoingDatagram>) throws -> Int {
        if unsent.isEmpty, readiness.contains(.write) {
            let sent = try sendTogether(batch.prefix(Int(CU_DATAGRAMS_MAX)))
            if sent > 0 { return sent }
        }
        var count = 0
        for datagram in batch where unsentBytes < options.sendQueueMax {
            queue(datagram)
            count += 1
        }
        return count
    }

    func queue(_ datagram: OutgoingDatagram) {
        unsent.append(datagram)
        unsentBytes += datagram.bytes.count + Self.unsentOverhead
    }

    /// Sends the first ones that have room in the scratch memory.
    ///
    /// - Parameter batch: At least one, at most as many as the system takes at once.
    /// - Returns: How many were sent; 0 if the kernel has no room now.
    /// - Throws: `SystemError` if the first can't be sent.
    private func sendTogether(_ batch: some Collection<OutgoingDatagram>) throws -> Int {
        guard let first = batch.first else { return 0 }
        let scratch = loop.buffers.scratch
        let result = withUnsafeTemporaryAllocation(
            of: cu_datagram.self, capacity: batch.count
        ) { list -> Int32 in
            let count = UDPSocket.gather(batch, in: scratch, list)
            return count == 0
                ? 0 : cu_send_datagrams(descriptor, scratch.baseAddress, list.baseAddress, count)
        }
        if result == -cu_eagain {
            drained(.write)
            return 0
        }
        if result < 0 { throw sendFailure(result, first.bytes, first.address) }
        // Too long, or to no address: by itself, for its own clear error.
        if result == 0 { return try sendNow(first.bytes, first.address) ? 1 : 0 }
        for datagram in batch.prefix(Int(result)) { spend(datagram.bytes.count) }
        return Int(result)
    }

    /// Copies datagrams one behind the other, up to the first that has no room or no address that
    /// the system knows.
    private static func gather(
        _ batch: some Collection<OutgoingDatagram>, in scratch: UnsafeMutableRawBufferPointer,
        _ list: UnsafeMutableBufferPointer<cu_datagram>
    ) -> Int32 {
        var used = 0
        var count = 0
        for datagram in batch {
            var entry = cu_datagram()
            if let address = datagram.address {
                guard address.port != nil, let system = address.system else { break }
                entry.address = system
            }
            let bytes = datagram.bytes
            guard bytes.count <= scratch.count - used else { break }
            UnsafeMutableRawBufferPointer(rebasing: scratch[used...]).copyBytes(from: bytes)
            entry.length = bytes.count
            list.initializeElement(at: count, to: entry)
            used += bytes.count
            count += 1
        }
        return Int32(count)
    }

    /// There is room in the kernel again.
    func sendQueued() {
        while readiness.contains(.write), !unsent.isEmpty {
            var done: Int
            do {
                done = try sendTogether(unsent.prefix(Int(CU_DATAGRAMS_MAX)))
                if done == 0 { break }
            } catch {
                // Nobody waits for this one any more; the network loses datagrams all the time.
                loop.logger.debug("a queued datagram was lost: \(error)")
                done = 1
            }
            for _ in 0..<done {
                guard let sent = unsent.popFirst() else { break }
                unsentBytes -= sent.bytes.count + Self.unsentOverhead
            }
        }
        guard unsentBytes < options.sendQueueMax, !sendWaiters.isEmpty else { return }
        let waiters = sendWaiters
        for waiter in waiters { waiter.fire() }
    }
}
