// A stream in `async let`: the child task may run elsewhere for all that the language knows.

import Updraft

nonisolated(nonsending) func useStreamInAsyncLet(_ stream: IOStream) async throws {
    async let reply = stream.read(exactly: 4)  // error: sending 'stream' risks causing data races
    try await stream.write("ping")
    _ = try await reply
}
