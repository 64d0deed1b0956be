/// Tasks of one loop that wait for one thing, first come, first served: what every lock and queue
/// is made of.
///
/// Who has what they wait for takes the first place out of the line, puts into it what is handed
/// over, and wakes it. Of several ends of one wait the first counts: a task that was woken gets
/// what it was woken for even if it is cancelled, or its time runs out, before it runs; one whose
/// wait has ended otherwise is never handed anything. So nothing is lost, and nothing that ended
/// stays in the line.
final class WaitLine<Value> {
    /// One task's place, and what it offers or is handed.
    final class Place {
        var value: Value?
        fileprivate let waiter: Waiter
        fileprivate var next: Place?
        /// Unsafe is safe: a place leaves the line before the one behind it could see it go away.
        fileprivate unowned(unsafe) var previous: Place?
        fileprivate var isInLine = false

        fileprivate init(_ loop: IOLoop, _ value: Value?) {
            waiter = Waiter(loop: loop)
            self.value = value
        }

        /// Ends the wait. As the last step: change all state first.
        func wake() { waiter.fire() }

        /// Ends the wait with an error.
        func fail(_ error: any Error) { waiter.fire(error) }
    }

    private let loop: IOLoop
    private var first: Place?
    private unowned(unsafe) var last: Place?

    /// Places in the line. A task that was cancelled leaves when it runs.
    private(set) var count = 0

    init(_ loop: IOLoop) {
        self.loop = loop
    }

    /// Waits at the end of the line.
    ///
    /// - Parameter value: What the place has for whoever takes it.
    /// - Returns: What the place has once it was woken.
    /// - Throws: `TimeoutError` after `timeout`; `CancellationError`; what the place failed with.
    nonisolated(nonsending) func wait(
        offering value: Value? = nil, timeout: Duration?
    ) async throws -> Value? {
        let place = Place(loop, value)
        append(place)
        let expiry = timeout.map { expire(place, after: $0) }
        defer {
            if let expiry { loop.timers.remove(expiry) }
            remove(place)
        }
        try await place.waiter.wait(for: .line)
        return place.value
    }

    /// Takes the first place out whose task still waits.
    func takeFirst() -> Place? {
        while let place = first {
            remove(place)
            if place.waiter.isWaiting { return place }
        }
        return nil
    }

    /// Takes the first places out, all by default. To be woken when all are out, so that one that
    /// waits again at once is not among them.
    func take(atMost count: Int = .max) -> [Place] {
        var taken: [Place] = []
        while taken.count < count, let place = takeFirst() { taken.append(place) }
        return taken
    }

    private func expire(_ place: Place, after timeout: Duration) -> Timeout {
        let deadline = loop.now.advanced(by: timeout)
        return loop.timers.add(deadline: deadline.nanoseconds) { [self] in
            guard place.waiter.isWaiting else { return }
            remove(place)
            loop.resumingInline { place.fail(TimeoutError(after: timeout)) }
        }
    }

    private func append(_ place: Place) {
        place.isInLine = true
        count += 1
        place.previous = last
        if let last { last.next = place } else { first = place }
        last = place
    }

    private func remove(_ place: Place) {
        guard place.isInLine else { return }
        place.isInLine = false
        count -= 1
        let next = place.next
        place.next = nil
        next?.previous = place.previous
        if next == nil { last = place.previous }
        if let previous = place.previous { previous.next = next } else { first = next }
        place.previous = nil
    }
}
