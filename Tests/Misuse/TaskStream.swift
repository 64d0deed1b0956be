// A stream in a plain task, which leaves the loop.

import Updraft

nonisolated(nonsending) func useStreamInTask(_ stream: IOStream) async {
    Task { try await stream.write("late") }  // error: risks causing data races
}
