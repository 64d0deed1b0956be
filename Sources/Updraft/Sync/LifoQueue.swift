/// A `Queue` whose latest item comes first: a stack that can be waited for.
///
/// ```swift
/// let free = LifoQueue<Connection>()             // the one that is still warm first
/// ```
///
/// Contract row 3.7.
public final class LifoQueue<Element>: Queue<Element> {
    /// An empty queue.
    ///
    /// - Parameters:
    ///   - maxSize: How many items it holds at the most, 1 or more; nil means no limit.
    ///   - loop: The loop whose tasks share it; the calling thread's by default.
    public init(maxSize: Int? = nil, loop: IOLoop = .current) {
        super.init(maxSize, ReverseOrder(), loop)
    }
}
