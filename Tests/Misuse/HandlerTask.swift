// A server's handler, as most programs have it, that leaves its loop.

import Updraft

nonisolated func leaveInHandler() throws {
    try IOLoop.run { loop in
        try await TCPServer(port: 7000).serve { stream in
            Task { try await stream.write("late") }  // error: risks causing data races
        }
    }
}
