// A program that was started, in a detached task.

import Updraft

nonisolated func useSubprocessInDetachedTask(_ program: Subprocess) {
    Task.detached { program.terminate() }  // error: risks causing data races
}
