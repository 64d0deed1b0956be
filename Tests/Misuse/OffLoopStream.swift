// A stream in a closure that leaves the loop.

import Updraft

nonisolated(nonsending) func useStreamOffLoop(_ stream: IOStream) async throws {
    try await stream.loop.offLoop { stream.close() }  // error: with non-Sendable type
}
