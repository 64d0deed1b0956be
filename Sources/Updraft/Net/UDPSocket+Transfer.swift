// Unsafe: datagrams are received into the loop's scratch memory and copied from it in one call.

internal import CUpdraft

// Receiving and sending.
extension UDPSocket {
    /// The datagrams as they come; see `Datagrams`.
    public var datagrams: Datagrams { Datagrams(socket: self) }

    /// Waits for the next datagram.
    ///
    /// - Throws: `StreamError` with `.closed`, with `.readPending` if another task receives;
    ///   `SystemError` with what the network says to a connected socket (the socket stays usable);
    ///   `CancellationError`; `TimeoutError`.
    public nonisolated(nonsending) func receive() async throws -> Datagram {
        try beginReceive()
        while true {
            if let datagram = received.popFirst() { return datagram }
            if try !receiveNow() { try await waitForDatagram() }
        }
    }

    /// Waits for at least one datagram and returns all that are there.
    ///
    /// - Parameter count: Datagrams at the most, at least 1.
    /// - Throws: As `receive`.
    public nonisolated(nonsending) func receiveBatch(upTo count: Int) async throws -> [Datagram] {
        precondition(count > 0, "a batch holds at least one datagram")
        try beginReceive()
        while received.isEmpty {
            if try !receiveNow() { try await waitForDatagram() }
        }
        while received.count < count, try receiveNow() {}
        var batch: [Datagram] = []
        while batch.count < count, let datagram = received.popFirst() { batch.append(datagram) }
        return batch
    }

    nonisolated(nonsending) func nextDatagram() async throws -> Datagram? {
        do {
            return try await receive()
        } catch let error as StreamError where error.code == .closed {
            return nil
        }
    }

    /// Sends a datagram: the kernel has it, or it waits behind others, when this returns. Waits
    /// while `sendQueueMax` bytes or more are unsent, and for the next turn when this socket has
    /// had its share of this one.
    ///
    /// - Parameters:
    ///   - bytes: At most 65,507 over IPv4; more than about 1,400 is cut into packets on the way,
    ///     and lost if one of them is.
    ///   - address: Of the socket's family; nil for the peer that it is connected to.
    /// - Throws: `SystemError`, for one that is too long, say; `StreamError` with `.closed`;
    ///   `CancellationError` or `TimeoutError` while it waits (nothing is sent then).
    public nonisolated(nonsending) func send(
        _ bytes: [UInt8], to address: SocketAddress? = nil
    ) async throws {
        try checkOpen()
        try await waitForTurnAndRoom()
        try sendOrQueue(bytes, address)
    }

    /// Sends without waiting, from callbacks and handlers.
    ///
    /// - Throws: As `send`; `StreamError` with `.bufferFull` if `sendQueueMax` bytes are unsent.
    public func enqueue(_ bytes: [UInt8], to address: SocketAddress? = nil) throws {
        try checkOpen()
        if unsentBytes >= options.sendQueueMax {
            throw StreamError(
                .bufferFull,
                "\(unsentBytes) bytes are unsent; the limit is \(options.sendQueueMax).")
        }
        try sendOrQueue(bytes, address)
    }

    // MARK: Steps

    private func beginReceive() throws {
        try checkOpen()
        if receiveWaiter.isInUse {
            throw StreamError(.readPending, "Another task is receiving from this socket.")
        }
    }

    private nonisolated(nonsending) func waitForDatagram() async throws {
        // The others have their share first.
        if receiveShare.isUsedUp(on: loop) { goOnReceivingSoon() }
        try await receiveWaiter.wait(for: .datagram)
    }

    /// The waiting receiver goes on in the next turn. Until then it holds its place: a second one
    /// is refused, and `close` answers it.
    private func goOnReceivingSoon() {
        guard !isReceivingSoon else { return }
        isReceivingSoon = true
        loop.runSoon { [weak self] in
            guard let self else { return }
            isReceivingSoon = false
            receiveWaiter.fire()
        }
    }

    /// Receives one batch. Whether anything came.
    private func receiveNow() throws -> Bool {
        try checkOpen()
        guard readiness.contains(.read), !receiveShare.isUsedUp(on: loop) else { return false }
        let scratch = loop.buffers.scratch
        let slots = min(scratch.count / options.receiveMax, Int(CU_DATAGRAMS_MAX))
        return try withUnsafeTemporaryAllocation(of: cu_datagram.self, capacity: slots) { list in
            let count = cu_receive_datagrams(
                descriptor, scratch.baseAddress, options.receiveMax, list.baseAddress,
                Int32(slots))
            if count == -cu_eagain {
                drained(.read)
                return false
            }
            try SystemError.check(count, "receive")
            for index in 0..<Int(count) { keep(list[index], slot: index) }
            return true
        }
    }

    private func keep(_ datagram: cu_datagram, slot: Int) {
        receiveShare.spend(datagram.length, on: loop)
        let sender = SocketAddress(datagram.address)
        // The kernel still has what came before the socket was connected.
        if let peer, sender != peer { return }
        let start = slot * options.receiveMax
        let bytes = loop.buffers.scratch[start..<start + datagram.length]
        received.append(
            Datagram(
                bytes: [UInt8](UnsafeRawBufferPointer(rebasing: bytes)), sender: sender,
                isTruncated: datagram.is_truncated))
    }

    private func sendOrQueue(_ bytes: [UInt8], _ address: SocketAddress?) throws {
        if unsent.isEmpty, readiness.contains(.write), try sendNow(bytes, address) { return }
        try queue(OutgoingDatagram(bytes, to: address))
    }

    /// Whether the kernel took it; false if it has no room now.
    func sendNow(_ bytes: [UInt8], _ address: SocketAddress?) throws -> Bool {
        let result: Int
        if let address {
            guard var system = address.system, address.port != nil else {
                throw SystemError(errno: cu_einval, operation: "the address \(address)")
            }
            result = bytes.withUnsafeBytes {
                cu_send_datagram(descriptor, $0.baseAddress, $0.count, &system)
            }
        } else {
            result = bytes.withUnsafeBytes {
                cu_send_datagram(descriptor, $0.baseAddress, $0.count, nil)
            }
        }
        if Int32(clamping: result) == -cu_eagain {
            drained(.write)
            return false
        }
        if result < 0 { throw sendFailure(Int32(clamping: result), bytes, address) }
        sendShare.spend(bytes.count, on: loop)
        return true
    }

    func sendFailure(_ errno: Int32, _ bytes: [UInt8], _ address: SocketAddress?) -> SystemError {
        let target = (address ?? peer).map { " to \($0)" } ?? ""
        return SystemError(errno: errno, operation: "send \(bytes.count) bytes\(target)")
    }

    nonisolated(nonsending) func waitForRoom() async throws {
        let waiter = Waiter(loop: loop)
        sendWaiters.append(waiter)
        defer { sendWaiters.removeAll { $0 === waiter } }
        try await waiter.wait(for: .sending)
        try checkOpen()
    }
}
