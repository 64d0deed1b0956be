internal import CUpdraft
internal import Synchronization

/// Children whose loop was closed before they ended. They go on; so that they do not stay in the
/// system's table when they have ended, each start of a program looks after them.
enum AbandonedChildren {
    private static let pids = Mutex<[Int32]>([])

    static func add(_ pid: Int32) {
        pids.withLock { $0.append(pid) }
        collect()
    }

    /// Reaps those that have ended; does not wait. Any thread.
    static func collect() {
        pids.withLock { pids in
            pids.removeAll { pid in
                var code: Int32 = 0
                return cu_child_reap(pid, false, &code) != CU_CHILD_RUNNING
            }
        }
    }
}
