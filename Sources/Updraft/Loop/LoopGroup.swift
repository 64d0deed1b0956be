/// The children of a `loop.group`: tasks on one loop that may share what is on it.
///
/// Unlike a standard task group it takes closures with loop-local captures, and a child may be
/// added from a callback.
public final class LoopGroup {
    private let loop: IOLoop
    private let scope: TaskScope?
    private var joiners: [Waiter] = []
    private var children: [UInt64: Task<Void, Never>] = [:]
    private var lastKey: UInt64 = 0
    private var firstError: (any Error)?
    private let endsOnError: Bool
    private var isCancelled = false

    init(loop: IOLoop, scope: TaskScope?, endsOnError: Bool) {
        self.loop = loop
        self.scope = scope
        self.endsOnError = endsOnError
    }

    /// Children that have not ended.
    public var count: Int { children.count }

    /// Starts a child. If it throws, the other children are cancelled and `group` throws the error.
    ///
    /// - Parameter name: Shown by debuggers and in log lines.
    public func spawn(
        name: String? = nil, _ body: nonisolated(nonsending) @escaping () async throws -> Void
    ) {
        lastKey += 1
        let key = lastKey
        let task = loop.start(name: name, parent: scope) { [self] in
            do {
                try await body()
            } catch {
                if endsOnError { fail(error) }
            }
            children[key] = nil
            if children.isEmpty { allEnded() }
        }
        children[key] = task
        if isCancelled { task.cancel() }
    }

    /// Cancels every child, also those that are yet to be added.
    public func cancelAll() {
        isCancelled = true
        for task in children.values { task.cancel() }
    }

    /// Waits until the last child has ended, however long a child takes to notice that it was
    /// cancelled.
    nonisolated(nonsending) func join() async {
        while !children.isEmpty {
            do {
                try await newJoiner().wait()
            } catch {
                if firstError == nil { firstError = error }
                cancelAll()
                await joinUncancellably()
            }
        }
    }

    /// Waits until the last child has ended, but no longer than the calling task may wait.
    nonisolated(nonsending) func joinOrThrow() async throws {
        while !children.isEmpty { try await newJoiner().wait() }
    }

    func rethrow() throws {
        if let firstError { throw firstError }
    }

    private nonisolated(nonsending) func joinUncancellably() async {
        while !children.isEmpty { await newJoiner().waitUncancellably() }
    }

    /// Several tasks may wait for the end: a server's own task and the one that drains it.
    private func newJoiner() -> Waiter {
        let joiner = Waiter(loop: loop)
        joiners.append(joiner)
        return joiner
    }

    private func allEnded() {
        let joiners = joiners
        self.joiners = []
        for joiner in joiners { joiner.fire() }
    }

    private func fail(_ error: any Error) {
        if firstError == nil { firstError = error }
        cancelAll()
    }
}

extension IOLoop {
    /// Runs `body` and the children that it starts with `group.spawn`, and returns when all have
    /// ended: structured concurrency whose children may use streams and loop-local objects.
    ///
    /// ```swift
    /// try await loop.group { group in
    ///     group.spawn { try await left.copy(to: right) }
    ///     group.spawn { try await right.copy(to: left) }
    /// }
    /// ```
    ///
    /// If the body or a child throws, or the calling task is cancelled, all children are cancelled
    /// and waited for; then the first error is thrown.
    public nonisolated(nonsending) func group<R>(
        _ body: nonisolated(nonsending) (LoopGroup) async throws -> R
    ) async throws -> R {
        checkThread("IOLoop.group")
        let group = LoopGroup(loop: self, scope: TaskScope.current, endsOnError: true)
        do {
            let result = try await body(group)
            await group.join()
            try group.rethrow()
            return result
        } catch {
            group.cancelAll()
            await group.join()
            try group.rethrow()
            throw error
        }
    }
}
