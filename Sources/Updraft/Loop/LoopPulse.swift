// Unsafe: `@unchecked Sendable`. The two words are atomics behind C functions: the loop's thread
// writes them, the monitor thread reads them, and each of the two keeps the object alive.

internal import CUpdraft

/// What a loop's thread tells the monitor thread: since when it has been busy, and with what.
final class LoopPulse: @unchecked Sendable {
    let words: UnsafeMutablePointer<cu_pulse>

    init() {
        words = .allocate(capacity: 1)
        words.initialize(to: cu_pulse())
    }

    deinit {
        words.deallocate()
    }

    /// When the work of the turn that is under way began, in the monotonic clock's nanoseconds; 0
    /// while the loop waits.
    var busySince: Int64 { cu_pulse_busy_since(words) }

    /// The last number that a name of a task was given; see `TaskNames`.
    func setNames(_ number: UInt64) { cu_pulse_set_names(words, number) }

    /// What runs, by a name that stays where it is until another is set; see `WorkName`.
    ///
    /// - Returns: The name that was set before.
    @inline(__always)
    func setWork(_ name: UnsafePointer<CChar>?) -> UnsafePointer<CChar>? {
        cu_pulse_set_work(words, name)
    }
}

/// What a loop is doing in a turn.
enum LoopActivity: Equatable, CustomStringConvertible {
    case other
    case callbacks
    case timeouts
    case output
    case descriptor(Int32)

    /// One word, so that a signal handler can copy it.
    @inline(__always)
    var word: UInt64 {
        switch self {
        case .other: UInt64(CU_ACTIVITY_OTHER)
        case .callbacks: UInt64(CU_ACTIVITY_CALLBACKS)
        case .timeouts: UInt64(CU_ACTIVITY_TIMEOUTS)
        case .output: UInt64(CU_ACTIVITY_OUTPUT)
        case .descriptor(let number):
            UInt64(CU_ACTIVITY_DESCRIPTOR) | UInt64(UInt32(bitPattern: number)) << 8
        }
    }

    init(word: UInt64) {
        switch Int(word & 0xFF) {
        case Int(CU_ACTIVITY_CALLBACKS): self = .callbacks
        case Int(CU_ACTIVITY_TIMEOUTS): self = .timeouts
        case Int(CU_ACTIVITY_OUTPUT): self = .output
        case Int(CU_ACTIVITY_DESCRIPTOR):
            self = .descriptor(Int32(truncatingIfNeeded: word >> 8))
        default: self = .other
        }
    }

    var description: String {
        switch self {
        case .other: "between the steps of a turn"
        case .callbacks: "in a callback or a task that was ready"
        case .timeouts: "in a timeout"
        case .output: "sending output"
        case .descriptor(let number): "in what waited for descriptor \(number)"
        }
    }
}
