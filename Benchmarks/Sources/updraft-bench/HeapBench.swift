/// What one would write first: a binary heap of entries, which are marked when they are
/// cancelled, and thrown out together when most are.
struct PlainHeap {
    final class Entry {
        let deadline: Int64
        let sequence: Int
        var callback: (() -> Void)?

        init(_ deadline: Int64, _ sequence: Int, _ callback: @escaping () -> Void) {
            self.deadline = deadline
            self.sequence = sequence
            self.callback = callback
        }
    }

    private struct Key {
        let deadline: Int64
        let sequence: Int
        let entry: Entry

        func precedes(_ other: Key) -> Bool {
            (deadline, sequence) < (other.deadline, other.sequence)
        }
    }

    private var keys: [Key] = []
    private var sequence = 0
    private var cancelled = 0

    mutating func add(_ deadline: Int64, _ callback: @escaping () -> Void) -> Entry {
        sequence += 1
        let entry = Entry(deadline, sequence, callback)
        keys.append(Key(deadline: deadline, sequence: sequence, entry: entry))
        siftUp(keys.count - 1)
        return entry
    }

    mutating func cancel(_ entry: Entry) {
        entry.callback = nil
        cancelled += 1
        guard cancelled > 512, cancelled * 2 > keys.count else { return }
        keys.removeAll { $0.entry.callback == nil }
        cancelled = 0
        for index in stride(from: keys.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
    }

    mutating func fireDue(_ now: Int64) {
        while let first = keys.first, first.deadline <= now {
            let last = keys.removeLast()
            if !keys.isEmpty {
                keys[0] = last
                siftDown(0)
            }
            if let callback = first.entry.callback { callback() } else { cancelled -= 1 }
        }
    }

    private mutating func siftUp(_ start: Int) {
        let key = keys[start]
        var index = start
        while index > 0, key.precedes(keys[(index - 1) / 2]) {
            keys[index] = keys[(index - 1) / 2]
            index = (index - 1) / 2
        }
        keys[index] = key
    }

    private mutating func siftDown(_ start: Int) {
        let key = keys[start]
        var index = start
        while true {
            var child = index * 2 + 1
            guard child < keys.count else { break }
            if child + 1 < keys.count, keys[child + 1].precedes(keys[child]) { child += 1 }
            guard keys[child].precedes(key) else { break }
            keys[index] = keys[child]
            index = child
        }
        keys[index] = key
    }
}

/// The plain heap under the operations of `TimerBench`.
struct HeapBench {
    let count: Int

    func run() {
        let delays = randomDelays(count).map { Int64($0.components.attoseconds / 1_000_000_000) }
        let session = Session()
        var random = SplitMix(seed: 2)
        var heap = PlainHeap()
        // Filled, as in `TimerBench`.
        var entries = [PlainHeap.Entry](repeating: PlainHeap.Entry(0, 0) {}, count: count)
        var start = Times.now()
        for index in 0..<count { entries[index] = heap.add(delays[index]) { session.expire() } }
        report("heap", "add", count, since: start)

        entries.shuffle(using: &random)
        start = Times.now()
        for index in 0..<count {
            heap.cancel(entries[index])
            entries[index] = heap.add(delays[index]) { session.expire() }
        }
        report("heap", "cancel+add", count, since: start)

        entries.shuffle(using: &random)
        start = Times.now()
        for entry in entries { heap.cancel(entry) }
        report("heap", "cancel", count, since: start)

        entries = []
        for delay in delays { _ = heap.add(delay) { session.expire() } }
        start = Times.now()
        heap.fireDue(.max)
        report("heap", "fire", session.fired, since: start)
    }
}
