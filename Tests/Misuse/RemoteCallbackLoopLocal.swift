// Loop-local state in a callback that another thread may add.

import Updraft

/// State of one loop: not Sendable.
nonisolated private final class Room {
    var count = 0
}

nonisolated func useRoomInRemoteCallback(_ loop: IOLoop) {
    let room = Room()
    loop.remote.addCallback { room.count += 1 }  // error: capture of 'room' with non-Sendable
}
