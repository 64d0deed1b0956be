// A semaphore in a detached task.

import Updraft

nonisolated func useSemaphoreInDetachedTask(_ semaphore: Semaphore) {
    Task.detached { semaphore.release() }  // error: risks causing data races
}
