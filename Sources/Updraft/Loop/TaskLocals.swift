// Unsafe: whether a task has locals is read where the concurrency runtime keeps them, by
// `cu_locals.h`: of the 64-bit runtimes of Swift 6.1 to 6.3, whose layout version is 1. Nothing is
// read before the word has been tried out once in the process, in a task of our own: without a
// binding it is zero, with one it is the address that the runtime itself names for the binding,
// the item there names its TaskLocal and the binding before it, and afterwards the word is what it
// was. Where any of that does not hold, contexts are captured always, which is right and slower.
// A task's list is changed by the task itself only, and it is only asked about the running task.

internal import CUpdraft

/// Whether the running task has task-locals, for contexts: one without locals need not be captured.
enum TaskLocals {
    @TaskLocal private static var other = 0

    /// Whether it can be told. Asked for the first time, it finds out; `IOLoop.init` asks.
    static let canBeTold: Bool = {
        isTrusted = cu_locals_are_of_known_version() && probe()
        return isTrusted
    }()

    /// What `canBeTold` has found; tests take it back, to have contexts captured always.
    static var isTrusted: Bool {
        get { cu_locals_are_trusted() }
        set { cu_locals_trust(newValue ? TaskScope.key : nil) }
    }

    /// Whether nothing is bound in the running task but the library's own scope, which is not
    /// captured anyway. False where it can't be told, and in child tasks of something bound.
    @inline(__always)
    static func areMissing(in running: CurrentTask.Identity) -> Bool {
        cu_has_no_locals(running.address)
    }

    // MARK: Trying it out

    private static func probe() -> Bool {
        var isAsExpected = false
        ContextExecutor(endsDropped: false).runInBareTask {
            guard let task = CurrentTask.identity else { return }
            isAsExpected = probe(task.address)
        }
        return isAsExpected
    }

    private static func probe(_ task: UnsafeMutableRawPointer) -> Bool {
        let scope = TaskScope.key
        let other = Unmanaged.passUnretained($other).toOpaque()
        func head() -> UInt { cu_locals_head(task) }
        func isNewest(_ key: UnsafeRawPointer, after next: UInt) -> Bool {
            cu_locals_head_is(task, key, next)
        }
        guard head() == 0 else { return false }
        let isScopeSeen = TaskScope.unbound {
            guard isNewest(scope, after: 0) else { return false }
            let outer = head()
            let isInnerSeen = $other.withValue(1) {
                guard head() != outer, isNewest(other, after: outer) else { return false }
                let middle = head()
                return TaskScope.unbound { isNewest(scope, after: middle) } && head() == middle
            }
            return isInnerSeen && head() == outer
        }
        guard isScopeSeen, head() == 0 else { return false }
        return $other.withValue(2) { isNewest(other, after: 0) } && head() == 0
    }
}
