// A server of one loop in the bodies of others.

import Updraft

nonisolated func shareServerAmongLoops(_ server: TCPServer) throws {
    try IOLoop.run(loops: 2) { loop in
        try await server.serve { stream in stream.close() }  // error: with non-Sendable type
    }
}
