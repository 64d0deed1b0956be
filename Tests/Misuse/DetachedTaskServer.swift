// A server in a detached task.

import Updraft

nonisolated func useServerInDetachedTask(_ server: TCPServer) {
    Task.detached { server.stop() }  // error: risks causing data races
}
