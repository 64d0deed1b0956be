/// The items in a queue, and which of them comes next.
protocol QueueOrder<Element> {
    associatedtype Element
    var count: Int { get }
    mutating func insert(_ item: Element)
    mutating func next() -> Element?
}

/// Once a queue is empty again it gives the memory of so many items back.
private let keptCapacityMax = 1_024

/// First in, first out.
struct ArrivalOrder<Element>: QueueOrder {
    private static var initialCapacity: Int { 8 }
    private var ring = RingBuffer<Element>(capacity: initialCapacity)
    private var peak = 0

    var count: Int { ring.count }

    mutating func insert(_ item: Element) {
        ring.append(item)
        peak = max(peak, ring.count)
    }

    mutating func next() -> Element? {
        let item = ring.popFirst()
        if ring.isEmpty, peak > keptCapacityMax {
            ring = RingBuffer(capacity: Self.initialCapacity)
            peak = 0
        }
        return item
    }
}

/// Last in, first out.
struct ReverseOrder<Element>: QueueOrder {
    private var items: ContiguousArray<Element> = []

    var count: Int { items.count }

    mutating func insert(_ item: Element) {
        items.append(item)
    }

    mutating func next() -> Element? {
        let item = items.popLast()
        if items.isEmpty, items.capacity > keptCapacityMax { items = [] }
        return item
    }
}

/// The least first; of equals the one that came first. A binary heap.
struct PriorityOrder<Element>: QueueOrder {
    private struct Entry {
        var item: Element
        var sequence: UInt64
    }

    private let isLess: (Element, Element) -> Bool
    private var heap: ContiguousArray<Entry> = []
    private var sequence: UInt64 = 0

    init(_ isLess: @escaping (Element, Element) -> Bool) {
        self.isLess = isLess
    }

    var count: Int { heap.count }

    mutating func insert(_ item: Element) {
        sequence += 1
        heap.append(Entry(item: item, sequence: sequence))
        siftUp(heap.count - 1)
    }

    mutating func next() -> Element? {
        guard let last = heap.popLast() else { return nil }
        guard let least = heap.first else {
            if heap.capacity > keptCapacityMax { heap = [] }
            return last.item
        }
        heap[0] = last
        siftDown(0)
        return least.item
    }

    private func precedes(_ left: Entry, _ right: Entry) -> Bool {
        if isLess(left.item, right.item) { return true }
        if isLess(right.item, left.item) { return false }
        return left.sequence < right.sequence
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard precedes(heap[index], heap[parent]) else { return }
            heap.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        while true {
            var least = index
            let child = index * 2 + 1
            for child in child..<max(child, min(child + 2, heap.count)) {
                if precedes(heap[child], heap[least]) { least = child }
            }
            if least == index { return }
            heap.swapAt(index, least)
            index = least
        }
    }
}
