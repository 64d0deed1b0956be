// A condition in a detached task.

import Updraft

nonisolated func useConditionInDetachedTask(_ condition: Condition) {
    Task.detached { condition.notifyAll() }  // error: risks causing data races
}
