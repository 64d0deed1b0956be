/// The children of a `loop.group`: tasks on one loop that may share what is on it.
///
/// Unlike a standard task group it takes closures with loop-local captures, and a child may be
/// added from a callback.
public final class LoopGroup {
    private let loop: IOLoop
    private let node: TaskScope
    /// Those that wait for the last child: a server's `serve` and its `drain` do at once.
    private var joiners: [Waiter] = []
    private var firstError: (any Error)?
    /// Whether the children that are left are not waited for any more.
    private var isGivenUp = false

    /// Children that have not ended.
    public private(set) var count = 0

    /// A group whose children's waits end with those of `scope`.
    init(loop: IOLoop, below scope: TaskScope?) {
        self.loop = loop
        node = TaskScope(loop.executor, about: TaskLabel.group)
        node.attach(to: scope ?? loop.rootScope)
    }

    deinit {
        node.detach()
    }

    /// Starts a child. If it throws, the other children are cancelled and `group` throws the error.
    ///
    /// - Parameter name: Shown by the watchdog and by `IOLoop.dump`.
    public func spawn(
        name: String? = nil,
        _ body: nonisolated(nonsending) @escaping () async throws -> Void
    ) {
        loop.checkThread("LoopGroup.spawn")
        count += 1
        loop.start(named: name, below: node) { [self] in
            do {
                try await body()
            } catch {
                fail(error)
            }
            childEnded()
        }
    }

    /// Starts a child that handles its own errors and calls `childEnded` itself, last.
    @inline(__always)
    func start(_ body: some TaskBody) -> TaskScope {
        count += 1
        return loop.start(body, below: node)
    }

    func childEnded() {
        count -= 1
        if count == 0 { wakeJoiners() }
    }

    private func wakeJoiners() {
        let joiners = joiners
        for joiner in joiners { joiner.fire() }
    }

    /// What the children are about.
    var subjects: [AnyObject] { node.children.compactMap(\.subject) }

    /// Some of the children and what each waits for, one line each, the oldest first.
    func describe(linesMax: Int) -> [String] {
        node.children.reversed().prefix(linesMax).map(loop.describe)
    }

    /// Cancels every child, also those that are yet to be added.
    public func cancelAll() {
        loop.checkThread("LoopGroup.cancelAll")
        node.cancel()
    }

    /// Waits until the last child has ended, however long a child takes to notice that it was
    /// cancelled.
    nonisolated(nonsending) func join() async {
        while count > 0 {
            do {
                try await waitForEnd()
            } catch {
                if firstError == nil { firstError = error }
                cancelAll()
                await joinUncancellably()
            }
        }
    }

    /// Waits until the last child has ended, but no longer than the calling task may wait.
    nonisolated(nonsending) func joinOrThrow() async throws {
        while count > 0, !isGivenUp { try await waitForEnd() }
    }

    private nonisolated(nonsending) func waitForEnd() async throws {
        let joiner = Waiter(loop: loop)
        joiners.append(joiner)
        defer { joiners.removeAll { $0 === joiner } }
        try await joiner.wait(for: .tasks)
    }

    func rethrow() throws {
        if let firstError { throw firstError }
    }

    /// As `join` after `cancelAll`, but no longer than `grace`: a child in a wait that is not the
    /// loop's can't be ended, and is left behind.
    nonisolated(nonsending) func join(grace: Duration) async {
        let deadline = loop.now.advanced(by: grace).nanoseconds
        let timer = loop.timers.add(deadline: deadline) { [self] in
            isGivenUp = true
            wakeJoiners()
        }
        await joinUncancellably()
        loop.timers.remove(timer)
    }

    private nonisolated(nonsending) func joinUncancellably() async {
        while count > 0, !isGivenUp {
            let joiner = Waiter(loop: loop)
            joiners.append(joiner)
            await joiner.waitUncancellably()
            joiners.removeAll { $0 === joiner }
        }
    }

    fileprivate func fail(_ error: any Error) {
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
        let group = LoopGroup(loop: self, below: TaskScope.current)
        do {
            let result = try await body(group)
            await group.join()
            try group.rethrow()
            return result
        } catch {
            // The first error, before those that the children end with because of it.
            group.fail(error)
            await group.join()
            try group.rethrow()
            throw error
        }
    }
}
