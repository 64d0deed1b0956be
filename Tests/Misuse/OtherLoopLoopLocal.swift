// State that is shared by the bodies of several loops.

import Updraft

/// State of one loop: not Sendable.
nonisolated private final class Room {
    var count = 0
}

nonisolated func shareRoomAmongLoops() throws {
    let room = Room()
    try IOLoop.run(loops: 2) { loop in
        loop.addCallback { room.count += 1 }  // error: capture of 'room' with non-Sendable
    }
}
