// A stream in a task of another loop.

import Updraft

nonisolated func useStreamInTaskOfOtherLoop(_ stream: IOStream, _ other: LoopExecutor) {
    Task(executorPreference: other) { stream.close() }  // error: risks causing data races
}
