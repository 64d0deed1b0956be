// Unsafe: `@unchecked Sendable`, so that a scope can be the value of a task-local. It is made, read
// and changed on its loop's thread only; tasks that inherit it elsewhere find another current loop
// (or none) in `Waiter.wait` and never touch it. `CurrentTask` looks at the running task's address
// as a number and never dereferences it.

internal import CUpdraft

/// What can end the waits of a task from outside: its cancellation, or a `withTimeout`.
///
/// Every task that the library starts has one, made once; every `withTimeout` makes one more
/// inside it. A wait of the scope's own task costs one store: a task is in one wait at a time.
final class TaskScope: @unchecked Sendable {
    @TaskLocal private static var inherited: TaskScope?

    /// The task that runs the scope's body.
    let owner: CurrentTask.Identity?

    /// Why waits in this scope end at once; nil while they may wait.
    @exclusivity(unchecked) private(set) var verdict: (any Error)?

    /// The wait that the owner is in, if it is in one and in no inner scope.
    @exclusivity(unchecked) var ownWait: Waiter?

    /// The owner, to ask it whether it was cancelled; asked by itself only, so while it lives.
    private let task: UnsafeCurrentTask?
    private let executor: LoopExecutor
    private unowned let loop: IOLoop
    private let parent: TaskScope?
    private var children: [TaskScope] = []
    private var guestTickets: Set<UInt64> = []

    /// A scope whose owner is the running task.
    init(loop: IOLoop, parent: TaskScope?) {
        self.loop = loop
        owner = CurrentTask.identity
        task = withUnsafeCurrentTask { $0 }
        executor = loop.executor
        self.parent = parent
    }

    /// Whether the owner was cancelled. For the owner itself.
    var isOwnerCancelled: Bool { task?.isCancelled ?? false }

    /// The scope around the running code, if it is one of the calling thread's loop.
    static var current: TaskScope? {
        guard let scope = inherited, scope.executor.isOnThread else { return nil }
        return scope
    }

    /// Runs `body` with this scope as the current one.
    nonisolated(nonsending) func run<R>(
        _ body: nonisolated(nonsending) () async throws -> R
    ) async rethrows -> R {
        parent?.children.append(self)
        if let verdict = parent?.verdict { self.verdict = verdict }
        defer { parent?.children.removeAll { $0 === self } }
        return try await TaskScope.$inherited.withValue(self) { try await body() }
    }

    /// The same in a task that the library did not start, whose cancellation nobody else reports.
    nonisolated(nonsending) func runAsGuest<R>(
        _ body: nonisolated(nonsending) () async throws -> R
    ) async throws -> R {
        let executor = executor
        return try await withTaskCancellationHandler {
            try await run(body)
        } onCancel: {
            executor.postCallback { _ in self.end(CancellationError()) }
        }
    }

    /// Ends all waits in this scope and in the scopes inside it, now and from now on.
    func end(_ error: any Error) {
        guard verdict == nil else { return }
        verdict = error
        let children = children
        let guests = guestTickets
        ownWait?.fire(error)
        for ticket in guests { loop.guests[ticket]?.fire(error) }
        for child in children { child.end(error) }
    }

    func add(guest ticket: UInt64) { guestTickets.insert(ticket) }
    func remove(guest ticket: UInt64) { guestTickets.remove(ticket) }
}

/// The waits of tasks that the library did not start, by ticket.
struct GuestWaits {
    private var waiters: [UInt64: Waiter] = [:]
    private var last: UInt64 = 0

    subscript(ticket: UInt64) -> Waiter? { waiters[ticket] }

    mutating func insert(_ waiter: Waiter) -> UInt64 {
        last += 1
        waiters[last] = waiter
        return last
    }

    mutating func remove(_ ticket: UInt64) {
        waiters[ticket] = nil
    }
}

/// The running task.
enum CurrentTask {
    /// Tells tasks apart while they run; means nothing once the task has ended.
    struct Identity: Hashable {
        let address: UnsafeMutableRawPointer
    }

    /// Nil outside tasks.
    @inline(__always)
    static var identity: Identity? {
        cu_current_task().map(Identity.init)
    }
}
