/// The children of a `loop.group`: tasks on one loop that may share what is on it.
///
/// Unlike a standard task group it takes closures with loop-local captures, and a child may be
/// added from a callback.
public final class LoopGroup {
    private let loop: IOLoop
    private let scope: TaskScope?
    private let allEnded: Waiter
    private var children: [ObjectIdentifier: TaskScope] = [:]
    private var firstError: (any Error)?
    private var isCancelled = false

    init(loop: IOLoop, scope: TaskScope?) {
        self.loop = loop
        self.scope = scope
        allEnded = Waiter(loop: loop)
    }

    /// Children that have not ended.
    public var count: Int { children.count }

    /// Starts a child. If it throws, the other children are cancelled and `group` throws the error.
    ///
    public func spawn(
        _ body: nonisolated(nonsending) @escaping () async throws -> Void
    ) {
        let scope = TaskScope(loop: loop, parent: scope)
        loop.start(scope) { [self] in
            do {
                try await body()
            } catch {
                fail(error)
            }
            ended(scope)
        }
        began(scope)
    }

    /// Starts a child that handles its own errors and says itself, with `ended`, that it has.
    @inline(__always)
    func start<Body: TaskBody>(_ makeBody: (TaskScope) -> Body) {
        let scope = TaskScope(loop: loop, parent: scope)
        loop.start(makeBody(scope), scope)
        began(scope)
    }

    func ended(_ scope: TaskScope) {
        children[ObjectIdentifier(scope)] = nil
        if children.isEmpty { allEnded.fire() }
    }

    private func began(_ scope: TaskScope) {
        children[ObjectIdentifier(scope)] = scope
        if isCancelled { scope.cancel() }
    }

    /// Cancels every child, also those that are yet to be added.
    public func cancelAll() {
        isCancelled = true
        for scope in children.values { scope.cancel() }
    }

    /// Waits until the last child has ended, however long a child takes to notice that it was
    /// cancelled.
    nonisolated(nonsending) func join() async {
        while !children.isEmpty {
            do {
                try await allEnded.wait()
            } catch {
                if firstError == nil { firstError = error }
                cancelAll()
                await joinUncancellably()
            }
        }
    }

    /// Waits until the last child has ended, but no longer than the calling task may wait.
    nonisolated(nonsending) func joinOrThrow() async throws {
        while !children.isEmpty { try await allEnded.wait() }
    }

    func rethrow() throws {
        if let firstError { throw firstError }
    }

    private nonisolated(nonsending) func joinUncancellably() async {
        while !children.isEmpty { await allEnded.waitUncancellably() }
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
        let group = LoopGroup(loop: self, scope: TaskScope.current)
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
