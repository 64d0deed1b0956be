internal import CUpdraft

/// Wakes a loop out of its poll, from any thread and from signal handlers (contract row I1).
///
/// On Linux an eventfd: one descriptor, and any number of wake-ups costs one read.
struct Waker: Sendable {
    /// The end that the loop watches for reading.
    let descriptor: Int32

    init() throws(SystemError) {
        descriptor = try SystemError.check(cu_eventfd_create(), "eventfd")
    }

    /// Makes the descriptor readable. Failure is ignored: a full counter is a wake-up already.
    func wake() {
        _ = cu_eventfd_signal(descriptor)
    }

    /// Makes it unreadable again. The loop's thread only.
    func drain() {
        _ = cu_eventfd_drain(descriptor)
    }

    func close() {
        _ = cu_close(descriptor)
    }
}
