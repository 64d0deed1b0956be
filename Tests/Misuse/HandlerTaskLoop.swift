// A server's handler that uses the loop of the closure around it in a plain task.

import Updraft

nonisolated func leaveInHandlerWithLoop() throws {
    try IOLoop.run { loop in
        try await TCPServer(port: 7000).serve { stream in
            Task { loop.stop() }  // error: risks causing data races
            try await stream.write("bye")
        }
    }
}
