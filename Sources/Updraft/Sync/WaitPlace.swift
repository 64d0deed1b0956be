// Unsafe: `Unmanaged` and raw memory. A place is owned by the frame of its task's wait while it is
// in use, and else by its line; see `WaitLine`. Its memory for a value is its own, and holds one
// if `hasValue`; `WaitLine.leave` takes that out before the place is used again or goes away.

/// One task's place in a `WaitLine`, and memory for what it offers or is handed.
///
/// Not generic, though the line is: to look a generic class up at run time is atomic.
final class WaitPlace: Waiter {
    private let memory: UnsafeMutableRawPointer
    private var hasValue = false
    /// Rises along the line.
    var number: UInt64 = 0
    var isInLine = false
    var next: PlaceLink?
    var previous: PlaceLink?
    /// The next one of those that nobody uses.
    var nextSpare: WaitPlace?

    /// - Parameter type: Of all values that it will have.
    init<Value>(_ loop: IOLoop, for type: Value.Type) {
        memory = .allocate(
            byteCount: MemoryLayout<Value>.size, alignment: MemoryLayout<Value>.alignment)
        super.init(loop: loop)
    }

    @available(*, unavailable)
    override init(loop: IOLoop) {
        preconditionFailure("A place has memory for a type.")
    }

    deinit {
        memory.deallocate()
    }

    /// Moves a value in. There must be none.
    func give<Value>(_ value: consuming Value) {
        memoryForValue().initializeMemory(as: Value.self, to: value)
    }

    /// The memory for a value, which is to be moved in at once.
    fileprivate func memoryForValue() -> UnsafeMutableRawPointer {
        hasValue = true
        return memory
    }

    /// Moves the value out, if there is one.
    func takeValue<Value>(_ type: Value.Type) -> Value? {
        guard hasValue else { return nil }
        hasValue = false
        return memory.assumingMemoryBound(to: Value.self).move()
    }
}

/// A place, without a count of the reference to it.
struct PlaceLink {
    private let place: Unmanaged<WaitPlace>

    init(_ place: WaitPlace) { self.place = .passUnretained(place) }

    @inline(__always)
    func with<R>(_ body: (WaitPlace) -> R) -> R { place._withUnsafeGuaranteedRef(body) }

    @inline(__always)
    func give<Value>(_ value: consuming Value) {
        with { $0.memoryForValue() }.initializeMemory(as: Value.self, to: value)
    }

    /// With a count, for where it may cost one.
    var counted: WaitPlace { place.takeUnretainedValue() }
}
