// Unsafe: passes the caller's event buffer to C as its own event type; both have one layout,
// which is asserted once when a poller is made.

internal import CUpdraft

/// The poller of Linux, on `epoll(7)` (contract row H3).
public final class EpollPoller: Poller {
    /// `epoll`.
    public let name = "epoll"
    /// The kernel keeps edges apart by itself.
    public let needsRearm = false
    private let descriptor: Int32

    /// Makes an empty poller, closed on `exec` (contract row A15).
    ///
    /// - Throws: `SystemError` for want of descriptors, and where the system has no epoll.
    public init() throws {
        assert(MemoryLayout<cu_event>.stride == MemoryLayout<PollEvent>.stride)
        descriptor = try SystemError.check(cu_epoll_create(), "epoll_create1")
    }

    /// Adds the descriptor to the epoll set.
    public func add(
        _ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64
    ) throws {
        let result = cu_epoll_add(self.descriptor, descriptor, bits(events, mode), token)
        try SystemError.check(result, "watch descriptor \(descriptor)")
    }

    /// Changes the descriptor's entry in the epoll set.
    public func modify(
        _ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64
    ) throws {
        let result = cu_epoll_modify(self.descriptor, descriptor, bits(events, mode), token)
        try SystemError.check(result, "change what descriptor \(descriptor) is watched for")
    }

    /// Takes the descriptor out of the epoll set.
    public func remove(_ descriptor: Int32) throws {
        try SystemError.check(
            cu_epoll_remove(self.descriptor, descriptor), "unwatch descriptor \(descriptor)")
    }

    /// Does nothing.
    public func rearm(_ descriptor: Int32, events: IOEvents) {}

    /// Waits in `epoll_wait`, whose resolution is a millisecond.
    public func wait(
        timeoutNanoseconds: Int64, into events: UnsafeMutableBufferPointer<PollEvent>
    ) throws -> Int {
        guard let base = events.baseAddress else { return 0 }
        let count = UnsafeMutableRawPointer(base).withMemoryRebound(
            to: cu_event.self, capacity: events.count
        ) { buffer in
            cu_epoll_wait(
                descriptor, buffer, Int32(events.count), milliseconds(timeoutNanoseconds))
        }
        // A signal ends the wait early; the loop goes round and looks again (contract row B6).
        if count == -cu_eintr { return 0 }
        return Int(try SystemError.check(count, "epoll_wait"))
    }

    /// Closes the epoll descriptor.
    public func close() {
        _ = cu_close(descriptor)
    }

    private func bits(_ events: IOEvents, _ mode: PollMode) -> UInt32 {
        mode == .edge ? events.rawValue | cu_epoll_edge : events.rawValue
    }

    /// Rounded up: a wait that ends in the last millisecond before a deadline would spin.
    private func milliseconds(_ nanoseconds: Int64) -> Int32 {
        if nanoseconds < 0 { return -1 }
        let (whole, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000)
        let milliseconds = rest > 0 ? whole + 1 : whole
        return Int32(min(milliseconds, Int64(Int32.max)))
    }
}
