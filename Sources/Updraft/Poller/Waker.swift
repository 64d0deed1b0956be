internal import CUpdraft

/// Wakes a loop out of its poll, from any thread and from signal handlers (contract row I1).
///
/// On Linux an eventfd: one descriptor, and any number of wake-ups costs one read. Elsewhere a
/// pipe.
struct Waker: Sendable {
    /// The end that the loop watches for reading.
    let descriptor: Int32
    /// The end that is written to; the same one on Linux.
    private let signalEnd: Int32

    init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        try SystemError.check(cu_waker_create(&ends), "make a waker")
        descriptor = ends[0]
        signalEnd = ends[1]
    }

    /// Makes the descriptor readable. Failure is ignored: a full counter is a wake-up already.
    func wake() {
        _ = cu_waker_signal(signalEnd)
    }

    /// Makes it unreadable again. The loop's thread only.
    func drain() {
        _ = cu_waker_drain(descriptor)
    }

    func close() {
        _ = cu_close(descriptor)
        if signalEnd != descriptor { _ = cu_close(signalEnd) }
    }
}
