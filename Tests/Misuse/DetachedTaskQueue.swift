// A queue in a detached task.

import Updraft

nonisolated func useQueueInDetachedTask(_ queue: Queue<Int>) {
    Task.detached { try await queue.put(1) }  // error: risks causing data races
}
