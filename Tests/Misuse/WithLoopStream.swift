// A stream of one loop in the body of `withLoop`, which has a loop and a thread of its own.

import Updraft
import UpdraftTesting

nonisolated(nonsending) func takeStreamToTestLoop(_ stream: IOStream) async throws {
    try await withLoop { loop in stream.close() }  // error: capture of 'stream' with non-Sendable
}
