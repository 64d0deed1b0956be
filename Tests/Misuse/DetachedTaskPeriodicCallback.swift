// A periodic callback in a detached task.

import Updraft

nonisolated func usePeriodicCallbackInDetachedTask(_ timer: PeriodicCallback) {
    Task.detached { timer.stop() }  // error: risks causing data races
}
