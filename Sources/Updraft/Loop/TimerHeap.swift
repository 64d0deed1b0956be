/// The pending timeouts of a loop, in the order in which they are to run (contract rows E4, E5,
/// B11).
///
/// Only the nearest timeouts are kept in order, in a heap that fits into the processor's first
/// cache. The others lie in groups by deadline, unordered; when the heap has run empty the next
/// group is parted, again and again, until its first part is small. So each key is moved a few
/// times, always along with its neighbours, where one large heap would miss the cache at every
/// level: see `docs/performance.md`.
///
/// A removed timeout's action is let go of at once. Its key stays, dead, until it is come across
/// or more than half of the keys that it lies with are dead.
struct TimerHeap: ~Copyable {
    private var slots = TimerSlots()
    private var near = NearTimers()
    /// Farthest first; every deadline in the last is after all those in `near`.
    private var far: ContiguousArray<FarTimers> = []
    private var nearMax = TimerHeap.nearMaxAtFirst
    private var sequence: UInt64 = 0
    private var deadCount = 0
    private var round: Round?
    /// Added in the round that is under way, and due already: for the next round.
    private var late: ContiguousArray<Timeout> = []

    private struct Round {
        let now: Int64
        /// Of the last timeout that was added before.
        let lastSequence: UInt64
    }

    /// A group up to this size is ordered.
    private static let orderedMax = 128
    /// When so many have been added to the nearest, the farther ones of them are taken out.
    private static let nearMaxAtFirst = 512
    /// A group with fewer dead keys is left alone; E4's number for all groups together.
    private static let deadMin = 32
    private static let deadMaxOfAll = 512

    /// Timeouts that are pending, without those that are due and waiting to run.
    private(set) var count = 0

    /// The earliest deadline, in the clock's nanoseconds.
    @inline(__always)
    var nextDeadline: Int64? { near.first?.deadline }

    /// Places for timeouts that take memory, for tests.
    var capacity: Int { slots.capacity }

    /// Keys of timeouts that were removed, for tests.
    var deadKeys: Int { deadCount }

    /// The earliest deadlines, at most so many, in their order.
    func nextDeadlines(_ countMax: Int) -> [Int64] {
        var found = near.keys.filter { slots.isLive($0) }.map(\.deadline)
        for group in far.reversed() where found.count < countMax {
            found += group.keys.filter { slots.isLive($0) }.map(\.deadline)
        }
        found += late.filter { slots.isLive($0) }.map(\.deadline)
        return Array(found.sorted().prefix(countMax))
    }

    /// Adds a timeout.
    @inline(__always)
    mutating func add(deadline: Int64, action: @escaping () throws -> Void) -> Timeout {
        sequence += 1
        let slot = slots.insert(TimerAction(run: action), for: sequence)
        let key = Timeout(deadline: deadline, sequence: sequence, slot: slot)
        count += 1
        if isLate(key) { late.append(key) } else { place(key) }
        return key
    }

    /// Takes a timeout out, if it is still to run.
    ///
    /// - Returns: Its action, for the caller to let go of when the heap is at rest again: an object
    ///   that goes away with it may add and remove timeouts.
    @discardableResult
    @inline(__always)
    mutating func remove(_ timeout: Timeout) -> TimerAction? {
        guard let (action, wasDue) = slots.remove(timeout) else { return nil }
        if !wasDue { noteDead(timeout) }
        return action
    }

    /// Begins to fetch what `remove` needs.
    @inline(__always)
    func prefetch(_ timeout: Timeout) { slots.prefetch(timeout) }

    /// Whether the timeout is still to run.
    func isPending(_ timeout: Timeout) -> Bool { slots.isTaken(timeout) }

    /// What is added from here to `endRound` is not due before the next round.
    mutating func beginRound(now: Int64) {
        round = Round(now: now, lastSequence: sequence)
    }

    mutating func endRound() {
        round = nil
        guard !late.isEmpty else { return }
        for key in late where slots.isLive(key) { place(key) }
        late = []
    }

    /// Takes timeouts that are due out of the heap, in the order in which they are to run.
    ///
    /// - Parameter countMax: So few that what they need stays in the cache until they have run.
    mutating func collectDue(
        now: Int64, countMax: Int = .max, into due: inout ContiguousArray<Timeout>
    ) {
        var from = due.count
        repeat {
            while let first = near.first, first.deadline <= now, due.count < countMax {
                near.removeFirst()
                slots.prefetch(first)
                due.append(first)
            }
            keepLive(&due, from: from)
            if near.first == nil { refillNear() }
            from = due.count
        } while due.count < countMax && (near.first?.deadline ?? .max) <= now
        settle()
    }

    /// Marks those that are to run, and forgets the others. Apart from taking them out of the heap,
    /// so that their places are fetched meanwhile.
    private mutating func keepLive(_ due: inout ContiguousArray<Timeout>, from start: Int) {
        var kept = start
        for index in start..<due.count {
            if slots.markDue(due[index]) {
                due[kept] = due[index]
                kept += 1
            } else {
                deadCount -= 1
                near.dead -= 1
            }
        }
        due.removeLast(due.count - kept)
        count -= kept - start
    }

    /// The action of a due timeout, unless it was removed since it was collected.
    @inline(__always)
    mutating func takeDue(_ timeout: Timeout) -> TimerAction? {
        slots.remove(timeout)?.action
    }

    /// Forgets all timeouts, those that are due included.
    ///
    /// - Returns: Their actions, to let go of when the heap is at rest again.
    mutating func takeAll() -> TimerSlots {
        var taken = TimerSlots()
        swap(&taken, &slots)
        count = 0
        round = nil
        late = []
        clear()
        return taken
    }

    // MARK: Where a deadline lies

    @inline(__always)
    private func isLate(_ timeout: Timeout) -> Bool {
        guard let round else { return false }
        return timeout.deadline <= round.now && timeout.sequence > round.lastSequence
    }

    @inline(__always)
    private mutating func place(_ key: Timeout) {
        if isNear(key.deadline) {
            near.insert(key)
            if near.keys.count > nearMax { partNear() }
        } else {
            let group = farIndex(key.deadline)
            far[group].keys.append(key)
            if far[group].keys.count >= far[group].countMax { partFar(group) }
        }
    }

    @inline(__always)
    private func isNear(_ deadline: Int64) -> Bool {
        guard let nearest = far.last else { return true }
        return deadline < nearest.lowerBound
    }

    /// The group of a deadline that is not near: the first whose bound is not after it.
    ///
    /// Counts the bounds that are after it, of every eighth of the groups first, then within one
    /// eighth. With random deadlines each step of a binary search would be guessed wrong half the
    /// time; nothing has to be guessed here.
    @inline(__always)
    private func farIndex(_ deadline: Int64) -> Int {
        var index = 0
        var left = far.count
        while left > 16 {
            let eighth = left / 8
            var after = 0
            for number in 1...7 {
                after &+= countIfAfter(index &+ number &* eighth &- 1, deadline)
            }
            index &+= after &* eighth
            left &-= 7 &* eighth
        }
        var after = 0
        for number in 0..<max(left - 1, 0) {
            after &+= countIfAfter(index &+ number, deadline)
        }
        return index &+ after
    }

    /// - Returns: 1 if the bound of the group is after the deadline, otherwise 0.
    @inline(__always)
    private func countIfAfter(_ group: Int, _ deadline: Int64) -> Int {
        far[group].lowerBound > deadline ? 1 : 0
    }

    // MARK: Parting

    /// What is farther of the nearest goes into groups.
    @inline(never)
    private mutating func partNear() {
        deadCount -= near.dead
        takeNear(live(near.keys))
    }

    /// Makes the nearest timeouts of the next group the near ones.
    @inline(never)
    private mutating func refillNear() {
        while near.first == nil, let group = far.popLast() {
            deadCount -= group.dead
            takeNear(group.dead == 0 ? group.keys : live(group.keys))
        }
        if far.isEmpty { far = [] }
    }

    /// - Parameter keys: All of them before `far`, and none of them dead.
    private mutating func takeNear(_ keys: ContiguousArray<Timeout>) {
        var keys = keys
        while keys.count > Self.orderedMax, var parts = FarTimers.part(keys, into: 128) {
            parts.reverse()
            keys = parts.removeLast().keys
            far.append(contentsOf: parts)
        }
        // Where one deadline has more than that, parting will not help soon.
        nearMax = max(Self.nearMaxAtFirst, keys.count * 2)
        near = NearTimers(keys)
    }

    @inline(never)
    private mutating func partFar(_ index: Int) {
        if far[index].dead > 0 { cleanFar(index) }
        guard far[index].keys.count > far[index].countMax / 2 else { return }
        // They will grow as their parent did, and need not be copied for it.
        let capacity = FarTimers.countMaxAtFirst
        guard var parts = FarTimers.part(far[index].keys, into: 8, capacity: capacity) else {
            far[index].countMax *= 2
            return
        }
        parts[0].lowerBound = far[index].lowerBound
        far.replaceSubrange(index...index, with: parts.reversed())
    }

    // MARK: Dead keys

    @inline(__always)
    private mutating func noteDead(_ timeout: Timeout) {
        count -= 1
        // Those have no key here yet.
        if isLate(timeout) { return }
        deadCount += 1
        if isNear(timeout.deadline) {
            near.dead += 1
            if near.dead > Self.deadMin, near.dead * 2 > near.keys.count { cleanNear() }
            if near.first?.sequence == timeout.sequence || near.first == nil { settle() }
        } else {
            let group = farIndex(timeout.deadline)
            far[group].dead += 1
            let dead = far[group].dead
            if dead > Self.deadMin, dead * 2 > far[group].keys.count { cleanFar(group) }
        }
        if deadCount > Self.deadMaxOfAll, deadCount > count { cleanAll() }
    }

    /// Lets the earliest key be a live one, and lets go of everything where there is none.
    private mutating func settle() {
        if count == 0 { return clear() }
        while let first = near.first, !slots.isLive(first) {
            near.removeFirst()
            near.dead -= 1
            deadCount -= 1
        }
        if near.first == nil { refillNear() }
    }

    private mutating func clear() {
        near.removeAll(keepingCapacity: near.keys.capacity <= Self.nearMaxAtFirst * 2)
        far = []
        nearMax = Self.nearMaxAtFirst
        deadCount = 0
    }

    @inline(never)
    private mutating func cleanNear() {
        deadCount -= near.dead
        near = NearTimers(live(near.keys))
        if near.first == nil { refillNear() }
    }

    @inline(never)
    private mutating func cleanFar(_ index: Int) {
        deadCount -= far[index].dead
        far[index].dead = 0
        far[index].keys = live(far[index].keys)
    }

    @inline(never)
    private mutating func cleanAll() {
        for index in far.indices where far[index].dead > 0 { cleanFar(index) }
        far.removeAll { $0.keys.isEmpty }
        cleanNear()
    }

    private func live(_ keys: ContiguousArray<Timeout>) -> ContiguousArray<Timeout> {
        let ahead = 16
        var live = ContiguousArray<Timeout>()
        live.reserveCapacity(keys.count)
        for (index, key) in keys.enumerated() {
            if index + ahead < keys.count { slots.prefetchOwner(keys[index + ahead]) }
            if slots.isLive(key) { live.append(key) }
        }
        return live
    }
}
