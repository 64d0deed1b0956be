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

    nonisolated(nonsending) func waitForTurnAndRoom() async throws {
        if sendShare.isUsedUp(on: loop) { try await loop.nextTurn() }
        try checkOpen()
        while unsentBytes >= options.sendQueueMax { try await waitForRoom() }
    }

    /// Sends with one system call, or queues up to the limit. At least one.
    private func acceptSome(of batch: ArraySlice<OutgoingDatagram>) throws -> Int {
        if unsent.isEmpty, readiness.contains(.write) {
            let sent = try sendTogether(batch.prefix(Int(CU_DATAGRAMS_MAX)))
            if sent > 0 { return sent }
        }
        return try queueSome(of: batch)
    }

    /// Queues the first ones, up to the limit or to one that can't be sent.
    ///
    /// - Returns: How many.
    /// - Throws: `SystemError` if the first can't be sent.
    func queueSome(of batch: some Sequence<OutgoingDatagram>) throws -> Int {
        var count = 0
        for datagram in batch {
            guard unsentBytes < options.sendQueueMax else { break }
            do {
                try queue(datagram)
            } catch {
                if count == 0 { throw error }
                break
            }
            count += 1
        }
        return count
    }

    /// - Throws: `SystemError` for one that could never be sent: once it is queued, nobody would be
    ///   told.
    func queue(_ datagram: OutgoingDatagram) throws {
        if let errno = refusal(of: datagram) {
            throw sendFailure(errno, datagram.bytes, datagram.address)
        }
        unsent.append(datagram)
        unsentBytes += datagram.bytes.count + Self.unsentOverhead
    }

    /// What the system says to a datagram whatever the network does; nil if it may take it.
    private func refusal(of datagram: OutgoingDatagram) -> Int32? {
        let bytesMax = localAddress.isIPv6 ? Self.bytesMaxIPv6 : Self.bytesMaxIPv4
        if datagram.bytes.count > bytesMax { return cu_emsgsize }
        guard let address = datagram.address else { return peer == nil ? cu_edestaddrreq : nil }
        guard let port = address.port, port > 0 else { return cu_einval }
        return address.isIPv6 == localAddress.isIPv6 ? nil : cu_eafnosupport
    }

    // 65,535 with the header of UDP, and with that of IPv4, which IPv6 does not count.
    private static let bytesMaxIPv4 = 65_507
    private static let bytesMaxIPv6 = 65_527

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
        for datagram in batch.prefix(Int(result)) {
            sendShare.spend(datagram.bytes.count, on: loop)
        }
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
            let done = sendFirstQueued()
            if done == 0 { break }
            for _ in 0..<done {
                guard let sent = unsent.popFirst() else { break }
                unsentBytes -= sent.bytes.count + Self.unsentOverhead
            }
        }
        guard unsentBytes < options.sendQueueMax, !sendWaiters.isEmpty else { return }
        let waiters = sendWaiters
        for waiter in waiters { waiter.fire() }
    }
    /// Sends the first ones of the queue together.
    ///
    /// - Returns: How many are done with, sent or lost; 0 if the kernel has no room now.
    private func sendFirstQueued() -> Int {
        // To a connected socket the system says once what became of an earlier datagram (nobody
        // listens there), in place of sending this one: it gets another try.
        var triesLeft = peer == nil ? 1 : 2
        while true {
            do {
                return try sendTogether(unsent.prefix(Int(CU_DATAGRAMS_MAX)))
            } catch {
                triesLeft -= 1
                guard triesLeft == 0 else { continue }
                // Nobody waits for this one any more; the network loses datagrams all the time.
                loop.libraryLogger.debug("a queued datagram was lost: \(error)")
                return 1
            }
        }
    }
}
