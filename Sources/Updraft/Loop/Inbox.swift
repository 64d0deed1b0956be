// Unsafe: raw pointers to nodes. A node belongs to the thread that allocates it until that thread
// has put it in; from then on to the loop's thread, which takes all nodes at once and frees them.
// Hence `@unchecked Sendable`, too.

internal import CUpdraft
internal import Synchronization

/// What other threads hand over to a loop: many put in, one takes out, in the order of putting in.
///
/// A list without a lock, so that no thread waits for another that was interrupted while it held
/// one. Its head also says whether the loop sleeps: who puts in the first thing learns from the
/// same instruction that it has to wake the loop.
struct Inbox<Element>: ~Copyable {
    private struct Node {
        let element: Element
        /// The head before this one: a node that was put in earlier, or `empty`.
        var next: UInt
    }

    private static var empty: UInt { 0 }
    /// Empty, and the loop is about to block or blocks.
    private static var asleep: UInt { 1 }
    private static var closed: UInt { 2 }

    /// One of the above, or the address of the node that was put in last.
    private let head = Atomic<UInt>(0)

    init() {}

    deinit {
        let rest = head.load(ordering: .acquiring)
        if rest > Self.closed { _ = Taken(last: rest) }
    }

    // MARK: From any thread

    /// Puts an element in; drops it if the inbox is closed.
    ///
    /// - Returns: Whether the caller is to wake the loop.
    @inline(__always)
    func put(_ element: Element) -> Bool {
        let node = cu_allocate(MemoryLayout<Node>.size).bindMemory(to: Node.self, capacity: 1)
        node.initialize(to: Node(element: element, next: Self.empty))
        var current = head.load(ordering: .relaxed)
        while current != Self.closed {
            node.pointee.next = current == Self.asleep ? Self.empty : current
            let (done, found) = head.weakCompareExchange(
                expected: current, desired: UInt(bitPattern: node),
                successOrdering: .releasing, failureOrdering: .relaxed)
            if done { return current == Self.asleep }
            current = found
        }
        node.deinitialize(count: 1)
        cu_free(node)
        return false
    }

    // MARK: On the loop's thread

    /// Takes everything out.
    @inline(__always)
    func takeAll() -> Taken {
        guard head.load(ordering: .relaxed) > Self.closed else { return Taken(last: Self.empty) }
        return Taken(last: head.exchange(Self.empty, ordering: .acquiring))
    }

    /// Announces that the loop is about to block: whoever puts in something next is to wake it.
    ///
    /// - Returns: False if something is in already; then the loop must not block.
    func fallAsleep() -> Bool {
        head.compareExchange(
            expected: Self.empty, desired: Self.asleep, ordering: .relaxed
        ).exchanged
    }

    /// Takes that back, if nobody has woken the loop.
    func wakeUp() {
        _ = head.compareExchange(
            expected: Self.asleep, desired: Self.empty, ordering: .relaxed)
    }

    /// From here on what is put in is dropped, and so is what is in.
    func close() {
        let rest = head.exchange(Self.closed, ordering: .acquiring)
        if rest > Self.closed { _ = Taken(last: rest) }
    }

    /// What was taken out, first in, first out. What nobody pops is dropped with it.
    struct Taken: ~Copyable {
        private var next: UInt

        fileprivate init(last: UInt) {
            // The list goes from the last to the first.
            next = Inbox.empty
            var address = last
            while let node = UnsafeMutablePointer<Node>(bitPattern: address) {
                address = node.pointee.next
                node.pointee.next = next
                next = UInt(bitPattern: node)
            }
        }

        deinit {
            var address = next
            while let node = UnsafeMutablePointer<Node>(bitPattern: address) {
                address = node.move().next
                cu_free(node)
            }
        }

        @inline(__always)
        mutating func popFirst() -> Element? {
            guard let node = UnsafeMutablePointer<Node>(bitPattern: next) else { return nil }
            let taken = node.move()
            cu_free(node)
            next = taken.next
            return taken.element
        }
    }
}

extension Inbox: @unchecked Sendable where Element: Sendable {}
