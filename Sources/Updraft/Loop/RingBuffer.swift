/// A growing first-in, first-out queue in one array, which shrinks after a burst.
struct RingBuffer<Element> {
    private var slots: ContiguousArray<Element?>
    private var head = 0
    private(set) var count = 0
    /// The most elements there were since the queue was last empty.
    private var peak = 0
    private let capacityMin: Int

    /// Up to here a queue keeps what it has grown to.
    private static var capacityKept: Int { 1_024 }
    /// Above this it keeps nothing once it is empty: growing again costs little beside what is put
    /// in, and who knows whether it will ever be needed again.
    private static var capacityKeptMax: Int { 65_536 }

    /// - Parameter capacity: A power of two; the queue never has less.
    init(capacity: Int = 64) {
        slots = ContiguousArray(repeating: nil, count: capacity)
        capacityMin = capacity
    }

    var isEmpty: Bool { count == 0 }

    /// Elements that there is room for.
    var capacity: Int { slots.count }

    var first: Element? { count == 0 ? nil : slots[head] }

    /// The first elements, in their order, at most so many.
    func prefix(_ count: Int) -> [Element] {
        (0..<Swift.min(count, self.count)).compactMap { slots[(head + $0) & (slots.count - 1)] }
    }

    func contains(where isMatch: (Element) -> Bool) -> Bool {
        (0..<count).contains { slots[(head + $0) & (slots.count - 1)].map(isMatch) ?? false }
    }

    mutating func append(_ element: Element) {
        if count == slots.count { grow() }
        slots[(head + count) & (slots.count - 1)] = element
        count += 1
        if count > peak { peak = count }
    }

    mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = slots[head].take()
        head = (head + 1) & (slots.count - 1)
        count -= 1
        if count == 0, slots.count > Self.capacityKept { emptied() }
        return element
    }

    /// Gives memory back that was not needed lately. Who needs much in every turn keeps it.
    private mutating func emptied() {
        if peak <= slots.count / 4 || slots.count > Self.capacityKeptMax {
            slots = ContiguousArray(repeating: nil, count: capacityMin)
            head = 0
        }
        peak = 0
    }

    private mutating func grow() {
        var larger = ContiguousArray<Element?>(repeating: nil, count: slots.count * 2)
        for index in 0..<count {
            larger[index] = slots[(head + index) & (slots.count - 1)].take()
        }
        slots = larger
        head = 0
    }
}
