internal import Synchronization

/// The names of a loop's tasks by their addresses, for the monitor thread.
///
/// Kept only while the loop is watched: otherwise a named task, and every connection, costs one
/// look at a flag. The loop's thread writes; the monitor thread reads.
final class TaskNames: Sendable {
    private struct Entry {
        let name: TaskName
        /// Entries are numbered in the order in which they were made.
        let number: UInt64
    }

    private struct State {
        var entries: [UInt64: Entry] = [:]
        var last: UInt64 = 0
        var pulse: LoopPulse?
    }

    private let state = Mutex(State())
    /// Written by the loop's thread, and read there alone.
    private let isKept = Atomic(false)

    /// The name that a task had when `number` was the last that had been given. A task that took
    /// the address of one that has ended meanwhile has a later one.
    func name(of task: UInt64, asOf number: UInt64) -> TaskName? {
        state.withLock { state in
            guard let entry = state.entries[task], entry.number <= number else { return nil }
            return entry.name
        }
    }

    /// From now on names are kept, and the last one's number is told to the pulse.
    func begin(_ pulse: LoopPulse) {
        state.withLock { $0.pulse = pulse }
        isKept.store(true, ordering: .relaxed)
    }

    /// Forgets all names, and takes none any more.
    func end() {
        isKept.store(false, ordering: .relaxed)
        state.withLock { state in
            state.entries = [:]
            state.pulse = nil
        }
    }

    var areKept: Bool { isKept.load(ordering: .relaxed) }

    /// How many there are.
    var count: Int { state.withLock { $0.entries.count } }

    /// Names a task that has begun, or gives it another name; if names are kept.
    @inline(__always)
    func add(_ name: @autoclosure () -> TaskName, for task: CurrentTask.Identity?) {
        if areKept, let task { insert(name(), task.number) }
    }

    /// To be called before the task ends.
    @inline(__always)
    func remove(_ task: CurrentTask.Identity?) {
        if areKept, let task { forget(task.number) }
    }

    // Apart: what they work with is to be no part of a task's frame.
    @inline(never)
    private func insert(_ name: TaskName, _ task: UInt64) {
        state.withLock { state in
            state.last += 1
            state.entries[task] = Entry(name: name, number: state.last)
            state.pulse?.setNames(state.last)
        }
    }

    @inline(never)
    private func forget(_ task: UInt64) {
        state.withLock { _ = $0.entries.removeValue(forKey: task) }
    }
}

extension IOLoop {
    /// Begins to keep the names of tasks, with those that have begun already.
    func keepTaskNames() {
        let names = executor.taskNames
        guard !names.areKept else { return }
        names.begin(pulse)
        var open = rootScope.children
        if let madeShutdown { open += madeShutdown.hooks.scope.children }
        while let scope = open.popLast() {
            if let name = (scope.subject as? any TaskSubject)?.taskName {
                names.add(name, for: scope.owner)
            }
            open += scope.children
        }
    }
}

extension CurrentTask.Identity {
    fileprivate var number: UInt64 { UInt64(UInt(bitPattern: address)) }
}
