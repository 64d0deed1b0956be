internal import CUpdraft

/// A descriptor that is kept to be given up when there are no others left: with it one more
/// connection can be accepted, to be closed.
struct SpareDescriptor: ~Copyable {
    private var descriptor: Int32 = -1

    deinit {
        if descriptor >= 0 { _ = cu_close(descriptor) }
    }

    /// Gets one, unless there is none to get.
    mutating func reserve() {
        if descriptor < 0 { descriptor = cu_spare_descriptor() }
    }

    /// Gives it up. Whether there was one.
    mutating func release() -> Bool {
        guard descriptor >= 0 else { return false }
        _ = cu_close(descriptor)
        descriptor = -1
        return true
    }
}
