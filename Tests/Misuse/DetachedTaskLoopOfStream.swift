// The loop of a stream in a detached task.

import Updraft

nonisolated func useLoopOfStreamInDetachedTask(_ stream: IOStream) {
    let loop = stream.loop
    Task.detached { loop.stop() }  // error: risks causing data races
}
