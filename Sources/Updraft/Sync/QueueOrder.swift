/// The items in a queue, and which of them comes next.
protocol QueueOrder<Element>: AnyObject {
    associatedtype Element
    var count: Int { get }
    func insert(_ item: consuming Element)
    func next() -> Element?
}

/// First in, first out.
final class ArrivalOrder<Element>: QueueOrder {
    private var items = ItemSlots<Element>()

    var count: Int { items.count }

    func insert(_ item: consuming Element) { items.append(item) }

    func next() -> Element? { items.popFirst() }
}

/// Last in, first out.
final class ReverseOrder<Element>: QueueOrder {
    private var items = ItemSlots<Element>()

    var count: Int { items.count }

    func insert(_ item: consuming Element) { items.append(item) }

    func next() -> Element? { items.popLast() }
}

/// The least first; of equals the one that came first.
final class PriorityOrder<Element>: QueueOrder {
    private var heap = ItemHeap<Element>()
    /// Out of the heap: there, each call of it would count a reference to what it has captured.
    private let isLess: (Element, Element) -> Bool

    init(_ isLess: @escaping (Element, Element) -> Bool) {
        self.isLess = isLess
    }

    var count: Int { heap.count }

    func insert(_ item: consuming Element) { heap.insert(item, by: isLess) }

    func next() -> Element? { heap.popLeast(by: isLess) }
}
