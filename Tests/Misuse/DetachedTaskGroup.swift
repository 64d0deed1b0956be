// A group in a detached task.

import Updraft

nonisolated func useGroupInDetachedTask(_ group: LoopGroup) {
    Task.detached { group.cancelAll() }  // error: risks causing data races
}
