// A stream that was made on one loop, for the body of another, by the way of a function.

import Updraft

nonisolated func takeStreamToOtherLoopsByFunction() throws {
    try IOLoop.run { loop in
        let stream = try await TCPClient.connect(host: "127.0.0.1", port: 7000)
        let body: nonisolated(nonsending) @Sendable (IOLoop) async throws -> Void = { other in
            try await stream.write("lost")  // error: capture of 'stream' with non-Sendable
        }
        try IOLoop.run(loops: 2, body)
    }
}
