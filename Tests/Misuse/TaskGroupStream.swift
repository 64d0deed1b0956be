// A stream in a child of a standard task group.

import Updraft

nonisolated(nonsending) func useStreamInTaskGroup(_ stream: IOStream) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await stream.write("ping") }  // error: risks causing data races
        try await group.waitForAll()
    }
}
