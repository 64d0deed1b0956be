// Unsafe: `@unchecked Sendable`, so that a scope can be the value of a task-local. It is made, read
// and changed on its loop's thread only; tasks that inherit it elsewhere find another current loop
// (or none) in `Waiter.wait` and never touch it. `previous` is unowned: a scope is taken out of its
// list before it goes away. `task` is kept between the begin and the end of the task itself.
// `CurrentTask` looks at the running task's address as a number and never dereferences it.

internal import CUpdraft

/// What can end the waits of a task from outside: its cancellation, or a `withTimeout`.
///
/// Every task that the library starts has one, every group too, and every `withTimeout` makes one
/// more inside. Together they are the tree of what runs on a loop, with `IOLoop.rootScope` on top.
/// A wait of the scope's own task costs one store: a task is in one wait at a time.
final class TaskScope: @unchecked Sendable {
    @TaskLocal private static var inherited: TaskScope?

    /// The task that runs the scope's body; nil before it has begun, and for groups.
    @exclusivity(unchecked) private(set) var owner: CurrentTask.Identity?

    /// Why waits in this scope end at once; nil while they may wait.
    @exclusivity(unchecked) private(set) var verdict: (any Error)?

    /// The wait that the owner is in, if it is in one and in no inner scope.
    @exclusivity(unchecked) var ownWait: Waiter?

    /// What the task is about, for those who look for it in the tree.
    private(set) var subject: AnyObject?

    /// The owner, from its begin to its end.
    private var task: UnsafeCurrentTask?
    private let executor: LoopExecutor
    private var isCancelled = false
    /// What `ownWait` is for. Here, in a gap behind the flag, it takes no memory; in every waiter
    /// it would.
    @exclusivity(unchecked) var ownPurpose = WaitPurpose.other
    private var guestTickets: Set<UInt64> = []

    private var parent: TaskScope?
    private var firstChild: TaskScope?
    private var next: TaskScope?
    private unowned(unsafe) var previous: TaskScope?

    init(_ executor: LoopExecutor, about subject: AnyObject? = nil) {
        self.executor = executor
        self.subject = subject
    }

    /// Whether the owner was cancelled. For the owner itself.
    var isOwnerCancelled: Bool { task?.isCancelled ?? false }

    /// The scope around the running code, if it is one of the calling thread's loop.
    static var current: TaskScope? {
        guard let scope = inherited, scope.executor.isOnThread else { return nil }
        return scope
    }

    // MARK: The tree

    /// Hangs the scope below another. What has ended the parent's waits ends this scope's too.
    func attach(to parent: TaskScope) {
        self.parent = parent
        next = parent.firstChild
        next?.previous = self
        parent.firstChild = self
        if let verdict = parent.verdict { self.verdict = verdict }
        if parent.isCancelled { isCancelled = true }
    }

    /// Takes the scope out of the tree.
    func detach() {
        guard let parent else { return }
        if let previous { previous.next = next } else { parent.firstChild = next }
        next?.previous = previous
        next = nil
        previous = nil
        self.parent = nil
    }

    /// The scopes right below this one, as they are now.
    var children: [TaskScope] {
        var found: [TaskScope] = []
        var child = firstChild
        while let scope = child {
            found.append(scope)
            child = scope.next
        }
        return found
    }

    // MARK: The owner

    /// Makes something (a task) that inherits this scope as its current one.
    func bound<R>(_ make: () -> R) -> R {
        TaskScope.$inherited.withValue(self, operation: make)
    }

    /// Names the task-local to the runtime.
    static var key: UnsafeRawPointer {
        UnsafeRawPointer(Unmanaged.passUnretained($inherited).toOpaque())
    }

    /// Makes something that inherits no scope.
    static func unbound<R>(_ make: () -> R) -> R {
        $inherited.withValue(nil, operation: make)
    }

    /// The running task becomes the owner.
    func begin() {
        owner = CurrentTask.identity
        task = withUnsafeCurrentTask { $0 }
        if isCancelled { task?.cancel() }
    }

    /// The owner's body has ended.
    func finish() {
        task = nil
        // A later task may live at the same address.
        owner = nil
        subject = nil
        detach()
    }

    /// Runs `body` in the running task with this scope, below `parent`, as the current one.
    nonisolated(nonsending) func run<R>(
        below parent: TaskScope?, _ body: nonisolated(nonsending) () async throws -> R
    ) async throws -> R {
        begin()
        if let parent { attach(to: parent) }
        defer { finish() }
        if let parent, parent.owner == owner { return try await runBound(body) }
        // A task that the library did not start: nobody else reports its cancellation.
        let executor = executor
        return try await withTaskCancellationHandler {
            try await runBound(body)
        } onCancel: {
            executor.postCallback { _ in self.end(CancellationError()) }
        }
    }

    private nonisolated(nonsending) func runBound<R>(
        _ body: nonisolated(nonsending) () async throws -> R
    ) async throws -> R {
        try await TaskScope.$inherited.withValue(self) { try await body() }
    }

    // MARK: The end

    /// Cancels the owner, which need not have begun, and all below it, and ends their waits.
    func cancel() {
        isCancelled = true
        task?.cancel()
        let children = children
        endWaits(CancellationError())
        for child in children { child.cancel() }
    }

    /// Ends all waits in this scope and in the scopes inside it, now and from now on.
    func end(_ error: any Error) {
        let children = children
        endWaits(error)
        for child in children { child.end(error) }
    }

    private func endWaits(_ error: any Error) {
        guard verdict == nil else { return }
        verdict = error
        let guests = guestTickets
        ownWait?.fire(error)
        for ticket in guests { executor.loop?.guests[ticket]?.fire(error) }
    }

    func add(guest ticket: UInt64) { guestTickets.insert(ticket) }
    func remove(guest ticket: UInt64) { guestTickets.remove(ticket) }
}

/// The waits of tasks that the library did not start, by ticket.
struct GuestWaits {
    private var waiters: [UInt64: Waiter] = [:]
    private var last: UInt64 = 0

    subscript(ticket: UInt64) -> Waiter? { waiters[ticket] }

    var count: Int { waiters.count }

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
