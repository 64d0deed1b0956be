internal import CUpdraft
internal import Synchronization

/// Children whose loop was closed before they ended. They go on; so that they do not stay in the
/// system's table when they have ended, a thread of its own waits for each.
enum AbandonedChildren {
    /// Those for which there was no thread: each start of a program looks after them.
    private static let pids = Mutex<[Int32]>([])

    static func add(_ pid: Int32) {
        if hasEnded(pid) { return }
        var handle: UInt64 = 0
        let context = UnsafeMutableRawPointer(bitPattern: Int(pid))
        let result = cu_thread_start(
            { context in
                var code: Int32 = 0
                _ = cu_child_reap(Int32(Int(bitPattern: context)), true, &code)
            }, context, "reaper", &handle)
        if result == 0 {
            cu_thread_detach(handle)
        } else {
            pids.withLock { $0.append(pid) }
        }
    }

    /// Reaps those that have ended; does not wait. Any thread.
    static func collect() {
        pids.withLock { $0.removeAll(where: hasEnded) }
    }

    private static func hasEnded(_ pid: Int32) -> Bool {
        var code: Int32 = 0
        return cu_child_reap(pid, false, &code) != CU_CHILD_RUNNING
    }
}
