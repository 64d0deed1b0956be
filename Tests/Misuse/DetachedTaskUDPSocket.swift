// A UDP socket in a detached task.

import Updraft

nonisolated func useUDPSocketInDetachedTask(_ socket: UDPSocket) {
    Task.detached { socket.close() }  // error: risks causing data races
}
