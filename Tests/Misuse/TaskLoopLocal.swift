// Loop-local state in a plain task.

import Updraft

/// State of one loop: not Sendable.
nonisolated private final class Room {
    var count = 0
}

nonisolated(nonsending) func useRoomInTask() async {
    let room = Room()
    Task { room.count += 1 }  // error: risks causing data races
    room.count += 1
}
