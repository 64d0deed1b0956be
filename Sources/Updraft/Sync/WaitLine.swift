// Unsafe: `Unmanaged`. What links places to each other counts no references, because:
// - While a place is in line, the frame of its task's `wait` owns it. That takes it out of the line
//   and its timeout out of the loop's timers (`leave`) before it lets go of it.
// - Once it is taken out of the line its task may run at any time, whatever else wakes it, and
//   leave. But until whoever has taken it has woken it (`takenCount`), no place is used again or
//   goes away. To wake it is the last that is done with it: `Waiter.fire` does nothing after it has
//   resumed the task.

/// Tasks of one loop that wait for one thing, first come, first served: what every lock and queue
/// is made of.
///
/// Who has what they wait for takes the first place out of the line, puts into it what is handed
/// over, and wakes it. Of several ends of one wait the first counts: a task that was woken gets
/// what it was woken for even if it is cancelled, or its time runs out, before it runs; one whose
/// wait has ended otherwise is never handed anything. So nothing is lost, and nothing that ended
/// stays in the line.
///
/// Beyond what its `Waiter` costs, a wait and its end count no references: places are used again,
/// and moved from owner to owner.
final class WaitLine<Value> {
    /// A place that was taken out of the line. Its task is to be woken: see `wake`.
    struct Taken {
        fileprivate let place: PlaceLink

        /// What the task has offered.
        func takeValue() -> Value? { place.with { $0.takeValue(Value.self) } }

        /// Hands something over to the task, which has offered nothing.
        func give(_ value: consuming Value) { place.give(value) }
    }

    private let loop: IOLoop
    private var first: PlaceLink?
    private var last: PlaceLink?
    private var lastNumber: UInt64 = 0
    private var spare: WaitPlace?
    private var spareCount = 0
    /// Places that were taken, and whose tasks have not been woken.
    private var takenCount = 0

    /// About so many places are kept for the next waits.
    private static var spareCountMax: Int { 16 }

    /// Places in the line. A task that was cancelled leaves when it runs.
    private(set) var count = 0

    init(_ loop: IOLoop) {
        self.loop = loop
    }

    deinit {
        // One by one: each going away inside the one before would take stack for all.
        while let place = spare.take() { spare = place.nextSpare.take() }
    }

    /// Waits at the end of the line.
    ///
    /// - Parameter value: What the place has for whoever takes it.
    /// - Returns: What the place has once it was woken: what it was handed, or what it offered and
    ///   nobody took.
    /// - Throws: `TimeoutError` after `timeout`; `CancellationError`.
    nonisolated(nonsending) func wait(
        offering value: consuming Value? = nil, timeout: Duration?
    ) async throws -> Value? {
        let place = makePlace()
        if let value { place.give(value) }
        append(place)
        let expiry = timeout.map { expire(PlaceLink(place), after: $0) }
        do {
            try await place.wait(for: .line)
        } catch {
            _ = leave(consume place, expiry)
            throw error
        }
        return leave(consume place, expiry)
    }

    /// Takes the first place out whose task still waits.
    ///
    /// - Parameter number: Of the last place that may be taken.
    func takeFirst(upTo number: UInt64 = .max) -> Taken? {
        while let place = first, place.with({ $0.number <= number }) {
            let isWaiting = place.with {
                remove($0)
                return $0.isWaiting
            }
            guard isWaiting else { continue }
            takenCount += 1
            return Taken(place: place)
        }
        return nil
    }

    /// Ends the wait of a task whose place was taken. As the last step: change all state first.
    func wake(_ taken: Taken) {
        takenCount -= 1
        taken.place.with { $0.fire() }
    }

    /// Wakes the first ones of those who wait now, all by default. One that waits again at once is
    /// not among them.
    func wake(atMost count: Int = .max) {
        let lastNumber = lastNumber
        var left = count
        while left > 0, let next = takeFirst(upTo: lastNumber) {
            left -= 1
            wake(next)
        }
    }

    private func expire(_ place: PlaceLink, after timeout: Duration) -> Timeout {
        let deadline = loop.now.advanced(by: timeout)
        let line = Unmanaged.passUnretained(self)
        return loop.timers.add(deadline: deadline.nanoseconds) {
            // The task is in `wait`, or the timeout would have been removed. It runs on inside of
            // `fire`: what is used after that is held here.
            let line = line.takeUnretainedValue()
            let place = place.counted
            guard place.isWaiting else { return }
            line.remove(place)
            line.loop.resumingInline { place.fire(TimeoutError(after: timeout)) }
        }
    }

    // MARK: Places

    private func makePlace() -> WaitPlace {
        guard takenCount == 0, let place = spare.take() else {
            return WaitPlace(loop, for: Value.self)
        }
        spare = place.nextSpare.take()
        spareCount -= 1
        return place
    }

    /// - Returns: What the place has.
    private func leave(_ place: consuming WaitPlace, _ expiry: Timeout?) -> Value? {
        if let expiry { loop.timers.remove(expiry) }
        remove(place)
        let value = place.takeValue(Value.self)
        guard spareCount < Self.spareCountMax || takenCount > 0 else { return value }
        spareCount += 1
        place.nextSpare = spare.take()
        spare = place
        return value
    }

    private func append(_ place: WaitPlace) {
        let link = PlaceLink(place)
        lastNumber += 1
        place.number = lastNumber
        place.isInLine = true
        place.previous = last
        count += 1
        if let last { last.with { $0.next = link } } else { first = link }
        last = link
    }

    private func remove(_ place: WaitPlace) {
        guard place.isInLine else { return }
        place.isInLine = false
        count -= 1
        let (previous, next) = (place.previous, place.next)
        if let next { next.with { $0.previous = previous } } else { last = previous }
        if let previous { previous.with { $0.next = next } } else { first = next }
        place.previous = nil
        place.next = nil
    }
}
