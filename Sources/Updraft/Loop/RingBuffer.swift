/// A growing first-in, first-out queue in one array; it never shrinks below its last need.
struct RingBuffer<Element> {
    private var slots: ContiguousArray<Element?>
    private var head = 0
    private(set) var count = 0

    /// - Parameter capacity: A power of two.
    init(capacity: Int = 64) {
        slots = ContiguousArray(repeating: nil, count: capacity)
    }

    var isEmpty: Bool { count == 0 }

    var first: Element? { count == 0 ? nil : slots[head] }

    func contains(where isMatch: (Element) -> Bool) -> Bool {
        (0..<count).contains { slots[(head + $0) & (slots.count - 1)].map(isMatch) ?? false }
    }

    mutating func append(_ element: Element) {
        if count == slots.count { grow() }
        slots[(head + count) & (slots.count - 1)] = element
        count += 1
    }

    mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = slots[head].take()
        head = (head + 1) & (slots.count - 1)
        count -= 1
        return element
    }

    private mutating func grow() {
        var larger = ContiguousArray<Element?>(repeating: nil, count: slots.count * 2)
        for index in 0..<count {
            larger[index] = slots[(head + index) & (slots.count - 1)]
        }
        slots = larger
        head = 0
    }
}
