// State of the caller that the loop uses, and the caller afterwards.

import Updraft

/// State of one loop: not Sendable.
nonisolated private final class Room {
    var count = 0
}

nonisolated func useRoomInLoopAndTask() throws {
    let room = Room()
    Task { room.count += 1 }  // error: risks causing data races
    try IOLoop.run { loop in room.count += 1 }
}
