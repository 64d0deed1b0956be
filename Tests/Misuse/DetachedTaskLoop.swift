// A loop in a detached task.

import Updraft

nonisolated func useLoopInDetachedTask(_ loop: IOLoop) {
    Task.detached { loop.addCallback {} }  // error: risks causing data races
}
