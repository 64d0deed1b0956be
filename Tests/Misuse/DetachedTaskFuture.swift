// A future in a detached task.

import Updraft

nonisolated func useFutureInDetachedTask(_ future: LoopFuture<Int>) {
    Task.detached { future.cancel() }  // error: risks causing data races
}
