/// A `Queue` whose least item comes first; of equal ones the one that came first.
///
/// ```swift
/// let alarms = PriorityQueue<Alarm>(by: { $0.severity > $1.severity })    // the worst first
/// ```
///
/// Contract row 3.7.
public final class PriorityQueue<Element>: Queue<Element> {
    /// An empty queue with an order of your own.
    ///
    /// - Parameters:
    ///   - maxSize: How many items it holds at the most, 1 or more; nil means no limit.
    ///   - loop: The loop whose tasks share it; the calling thread's by default.
    ///   - isLess: Whether its first argument comes before the second; a strict weak order. What
    ///     it looks at must not change while the item is in the queue, and it must not use the
    ///     queue, or end a wait in it: that stops the program, as any access that conflicts.
    public init(
        maxSize: Int? = nil, loop: IOLoop = .current,
        by isLess: @escaping (Element, Element) -> Bool
    ) {
        super.init(maxSize, PriorityOrder(isLess), loop)
    }
}

extension PriorityQueue where Element: Comparable {
    /// An empty queue in the items' own order.
    ///
    /// - Parameters:
    ///   - maxSize: How many items it holds at the most, 1 or more; nil means no limit.
    ///   - loop: The loop whose tasks share it; the calling thread's by default.
    public convenience init(maxSize: Int? = nil, loop: IOLoop = .current) {
        self.init(maxSize: maxSize, loop: loop, by: <)
    }
}
