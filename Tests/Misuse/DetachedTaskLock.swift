// A lock in a detached task.

import Updraft

nonisolated func useLockInDetachedTask(_ lock: Lock) {
    Task.detached { try await lock.acquire() }  // error: risks causing data races
}
