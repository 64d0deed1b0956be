/// A queue between tasks of one loop, first in, first out: producers wait while it is full,
/// consumers while it is empty, each in the order in which they came.
///
/// ```swift
/// let jobs = Queue<Job>(maxSize: 100)
/// loop.spawn {
///     for try await job in jobs {
///         await job.run()
///         try jobs.taskDone()
///     }
/// }
/// try await jobs.put(Job("nightly report"))
/// try await jobs.join()                          // until every job was run
/// ```
///
/// Items need not be Sendable; the queue belongs to the thread of its loop and takes no lock of the
/// system's. `PriorityQueue` and `LifoQueue` differ in the order alone. Contract row 3.7.
public class Queue<Element>: CustomStringConvertible {
    private let loop: IOLoop
    private let items: any QueueOrder<Element>
    /// They wait only while there is no item, and are handed theirs.
    private let getters: WaitLine<Element>
    /// They wait only while the queue is full, and offer their item.
    private let putters: WaitLine<Element>
    private let joiners: WaitLine<Void>

    /// How many items it holds at the most; nil means no limit.
    public final let maxSize: Int?

    /// Items that were put and for which `taskDone` has not been called.
    public final private(set) var unfinishedCount = 0

    /// Whether `finish` was called.
    public final private(set) var isFinished = false

    /// An empty queue.
    ///
    /// - Parameters:
    ///   - maxSize: How many items it holds at the most, 1 or more; nil means no limit.
    ///   - loop: The loop whose tasks share it; the calling thread's by default.
    public convenience init(maxSize: Int? = nil, loop: IOLoop = .current) {
        self.init(maxSize, ArrivalOrder(), loop)
    }

    init(_ maxSize: Int?, _ items: any QueueOrder<Element>, _ loop: IOLoop) {
        if let maxSize, maxSize < 1 {
            Misuse.stop("A queue was made with maxSize \(maxSize); it is 1 or more, or nil.")
        }
        self.maxSize = maxSize
        self.items = items
        self.loop = loop
        getters = WaitLine(loop)
        putters = WaitLine(loop)
        joiners = WaitLine(loop)
    }

    /// Items in the queue, without those of tasks that wait in `put`.
    public final var count: Int { items.count }

    /// Whether `get` would wait.
    public final var isEmpty: Bool { items.count == 0 }

    /// Whether `put` would wait. Never without a limit.
    public final var isFull: Bool { maxSize.map { items.count >= $0 } ?? false }

    // MARK: Put

    /// Puts an item in, waiting while the queue is full.
    ///
    /// If there is room it never waits, and then ends in success even in a cancelled task.
    ///
    /// - Parameters:
    ///   - item: Stays on this loop.
    ///   - timeout: How long to wait for room at the most; nil means no limit. Zero or less gives
    ///     up when the loop next looks at its timeouts.
    /// - Throws: `TimeoutError` after `timeout`, `CancellationError`, `SyncError` with `.finished`:
    ///   the item is not in the queue then.
    public final nonisolated(nonsending) func put(
        _ item: consuming Element, timeout: Duration? = nil
    ) async throws {
        if try hasRoom() { return accept(item) }
        // Whoever wakes this task has taken the item, but for `finish`.
        let refused = try await putters.wait(offering: item, timeout: timeout)
        if refused != nil { throw Self.finishedError }
    }

    /// Puts an item in without waiting.
    ///
    /// - Throws: `SyncError` with `.full` or `.finished`.
    public final func putNowait(_ item: consuming Element) throws {
        if try hasRoom() { return accept(item) }
        throw SyncError(.full, "The queue is full: it holds \(count) items, its maxSize.")
    }

    private func hasRoom() throws -> Bool {
        loop.checkThread("Queue.put")
        if isFinished { throw Self.finishedError }
        return !isFull
    }

    /// Takes an item for which there is room. From hand to hand it is moved, never copied: to copy
    /// an object's reference would be to count it.
    private func accept(_ item: consuming Element) {
        unfinishedCount += 1
        if let getter = getters.takeFirst() {
            getter.give(item)
            getters.wake(getter)
        } else {
            items.insert(item)
        }
    }

    // MARK: Get

    /// Takes the next item out, waiting while the queue is empty.
    ///
    /// The item of the task that has waited longest in `put` is let in first, so it may be the
    /// next one in a `PriorityQueue` or `LifoQueue`. If there is an item it never waits, and then
    /// ends in success even in a cancelled task.
    ///
    /// - Parameter timeout: How long to wait for an item at the most; nil means no limit. Zero or
    ///   less gives up when the loop next looks at its timeouts.
    /// - Throws: `TimeoutError` after `timeout`, `CancellationError`, `SyncError` with `.finished`
    ///   once a finished queue is empty. No item is lost then.
    public final nonisolated(nonsending) func get(timeout: Duration? = nil) async throws -> Element
    {
        guard let item = try await next(timeout: timeout) else { throw Self.finishedError }
        return item
    }

    /// Takes the next item out without waiting.
    ///
    /// - Throws: `SyncError` with `.empty`, or `.finished` once a finished queue is empty.
    public final func getNowait() throws -> Element {
        if let item = take() { return item }
        throw isFinished ? Self.finishedError : SyncError(.empty, "The queue is empty.")
    }

    /// The next item; nil once a finished queue is empty.
    nonisolated(nonsending) final func next(timeout: Duration? = nil) async throws -> Element? {
        if let item = take() { return item }
        if isFinished { return nil }
        return try await getters.wait(timeout: timeout)
    }

    private func take() -> Element? {
        loop.checkThread("Queue.get")
        let putter = putters.takeFirst()
        if let offered = putter?.takeValue() {
            unfinishedCount += 1
            items.insert(offered)
        }
        let item = items.next()
        if let putter { putters.wake(putter) }
        return item
    }

    // MARK: Done

    /// Says that the work on one item that was taken out is done.
    ///
    /// - Throws: `SyncError` with `.doneTooOften` if it was said for every item already.
    public final func taskDone() throws {
        loop.checkThread("Queue.taskDone")
        guard unfinishedCount > 0 else {
            throw SyncError(
                .doneTooOften, "Queue.taskDone was called more often than items were put.")
        }
        unfinishedCount -= 1
        guard unfinishedCount == 0 else { return }
        joiners.wake()
    }

    /// Waits until `taskDone` was called for every item that was put; returns at once if there is
    /// none to wait for.
    ///
    /// - Parameter timeout: How long to wait at the most; nil means no limit.
    /// - Throws: `TimeoutError` after `timeout`, `CancellationError`.
    public final nonisolated(nonsending) func join(timeout: Duration? = nil) async throws {
        loop.checkThread("Queue.join")
        if unfinishedCount > 0 { _ = try await joiners.wait(timeout: timeout) }
    }

    /// Says that nothing more will be put: the end of every `for` loop over the queue.
    ///
    /// Items in the queue can still be taken out. Tasks that wait in `put` get `SyncError` with
    /// `.finished`; so do those in `get`, since there is nothing for them. Finishing again does
    /// nothing.
    public final func finish() {
        loop.checkThread("Queue.finish")
        guard !isFinished else { return }
        isFinished = true
        putters.wake()
        getters.wake()
    }

    private static var finishedError: SyncError {
        SyncError(.finished, "The queue was finished.")
    }

    /// `Queue<Int>(count: 2, maxSize: 3, getters: 0, putters: 0, unfinished: 2)`; without a limit
    /// `maxSize: none`.
    public final var description: String {
        let limit = maxSize.map(String.init) ?? "none"
        return "\(type(of: self))(count: \(count), maxSize: \(limit), getters: \(getters.count), "
            + "putters: \(putters.count), unfinished: \(unfinishedCount)"
            + (isFinished ? ", finished)" : ")")
    }
}

extension Queue: AsyncSequence {
    /// Takes items out for one `for` loop; several may share a queue.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let queue: Queue<Element>

        /// The next item, or nil once a finished queue is empty.
        ///
        /// - Throws: `CancellationError`, or `TimeoutError` if a `withTimeout` around it expires.
        public func next(
            isolation actor: isolated (any Actor)?
        ) async throws -> Element? {
            try await queue.next()
        }
    }

    /// Called by `for`, which takes items out until the queue is finished and empty.
    public final func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(queue: self)
    }
}
