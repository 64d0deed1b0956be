// A stream in a detached task, which runs on any thread.

import Updraft

nonisolated func useStreamInDetachedTask(_ stream: IOStream) {
    Task.detached { try await stream.write("late") }  // error: risks causing data races
}
