// A stream in blocking work, which runs on a thread of a pool (contract row S3).

import Updraft

nonisolated(nonsending) func useStreamInExecutor(_ stream: IOStream) async throws {
    try await stream.loop.runInExecutor { stream.close() }  // error: with non-Sendable type
}
