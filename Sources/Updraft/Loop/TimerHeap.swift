/// The pending timeouts of a loop: a 4-ary heap of small keys over a slab of actions.
///
/// Every slab entry knows its place in the heap, so a removal takes the timeout out at once; no
/// dead entries pile up (contract rows E4, E5 ask for no more than that they are purged). Four
/// children a node halve the depth of a binary heap, and the four keys share two cache lines.
/// Equal deadlines keep their order of insertion (B11).
struct TimerHeap {
    private struct Key {
        var deadline: Int64
        var sequence: UInt64
        var slot: UInt32

        @inline(__always)
        func precedes(_ other: Key) -> Bool {
            deadline < other.deadline
                || (deadline == other.deadline && sequence < other.sequence)
        }
    }

    private enum Place {
        case free
        case heap(Int)
        /// Collected as due, not yet run: can still be removed.
        case due
    }

    private struct Entry {
        var action: (() -> Void)?
        var place: Place
        var generation: UInt32
    }

    private var heap: ContiguousArray<Key> = []
    private var slab: ContiguousArray<Entry> = []
    private var free: ContiguousArray<UInt32> = []
    private var sequence: UInt64 = 0

    /// Timeouts that are pending, without those that are due and waiting to run.
    var count: Int { heap.count }

    /// The earliest deadline, in the clock's nanoseconds.
    var nextDeadline: Int64? { heap.first?.deadline }

    /// The earliest deadlines, at most so many, in their order.
    func nextDeadlines(_ countMax: Int) -> [Int64] {
        var found: [Int64] = []
        // Whoever is next stands below one that was found before.
        var candidates = heap.isEmpty ? [] : [0]
        while found.count < countMax,
            let next = candidates.indices.min(by: {
                heap[candidates[$0]].precedes(heap[candidates[$1]])
            })
        {
            let index = candidates.remove(at: next)
            found.append(heap[index].deadline)
            candidates += (index * 4 + 1..<index * 4 + 5).filter { $0 < heap.count }
        }
        return found
    }

    mutating func add(deadline: Int64, action: @escaping () -> Void) -> Timeout {
        let slot = takeSlot(action)
        sequence += 1
        heap.append(Key(deadline: deadline, sequence: sequence, slot: slot))
        siftUp(heap.count - 1)
        return Timeout(slot: slot, generation: slab[Int(slot)].generation)
    }

    /// Takes a timeout out, if it is still to run.
    ///
    /// - Returns: Its action, for the caller to let go of when the heap is at rest again: an object
    ///   that goes away with it may add and remove timeouts.
    @discardableResult
    mutating func remove(_ timeout: Timeout) -> (() -> Void)? {
        let slot = Int(timeout.slot)
        guard slot < slab.count, slab[slot].generation == timeout.generation else { return nil }
        switch slab[slot].place {
        case .free: return nil
        case .due: break
        case .heap(let index): removeKey(at: index)
        }
        return release(slot)
    }

    /// Whether the timeout is still to run.
    func isPending(_ timeout: Timeout) -> Bool {
        let slot = Int(timeout.slot)
        return slot < slab.count && slab[slot].generation == timeout.generation
    }

    /// Takes the timeouts that are due out of the heap, in the order in which they are to run.
    mutating func collectDue(now: Int64, into due: inout ContiguousArray<Timeout>) {
        while let first = heap.first, first.deadline <= now {
            removeKey(at: 0)
            let slot = Int(first.slot)
            slab[slot].place = .due
            due.append(Timeout(slot: first.slot, generation: slab[slot].generation))
        }
    }

    /// The action of a due timeout, unless it was removed since it was collected.
    mutating func takeDue(_ timeout: Timeout) -> (() -> Void)? {
        let slot = Int(timeout.slot)
        guard slab[slot].generation == timeout.generation else { return nil }
        return release(slot)
    }

    private mutating func takeSlot(_ action: @escaping () -> Void) -> UInt32 {
        if let slot = free.popLast() {
            slab[Int(slot)].action = action
            return slot
        }
        slab.append(Entry(action: action, place: .free, generation: 0))
        return UInt32(slab.count - 1)
    }

    private mutating func release(_ slot: Int) -> (() -> Void)? {
        let action = slab[slot].action.take()
        slab[slot].place = .free
        slab[slot].generation &+= 1
        free.append(UInt32(slot))
        return action
    }

    private mutating func removeKey(at index: Int) {
        let last = heap.removeLast()
        guard index < heap.count else { return }
        heap[index] = last
        if index > 0, last.precedes(heap[(index - 1) / 4]) {
            siftUp(index)
        } else {
            siftDown(index)
        }
    }

    private mutating func siftUp(_ start: Int) {
        let key = heap[start]
        var index = start
        while index > 0 {
            let parent = (index - 1) / 4
            guard key.precedes(heap[parent]) else { break }
            put(heap[parent], at: index)
            index = parent
        }
        put(key, at: index)
    }

    private mutating func siftDown(_ start: Int) {
        let key = heap[start]
        var index = start
        while true {
            let firstChild = index * 4 + 1
            guard firstChild < heap.count else { break }
            let childrenEnd = min(firstChild + 4, heap.count)
            var least = firstChild
            for child in firstChild..<childrenEnd where heap[child].precedes(heap[least]) {
                least = child
            }
            guard heap[least].precedes(key) else { break }
            put(heap[least], at: index)
            index = least
        }
        put(key, at: index)
    }

    private mutating func put(_ key: Key, at index: Int) {
        heap[index] = key
        slab[Int(key.slot)].place = .heap(index)
    }
}
