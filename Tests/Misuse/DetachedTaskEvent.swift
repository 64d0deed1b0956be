// An event in a detached task.

import Updraft

nonisolated func useEventInDetachedTask(_ event: Event) {
    Task.detached { event.set() }  // error: risks causing data races
}
