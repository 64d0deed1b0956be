// Loop-local state in a child of a standard task group.

import Updraft

/// State of one loop: not Sendable.
nonisolated private final class Room {
    var count = 0
}

nonisolated(nonsending) func useRoomInTaskGroup() async {
    let room = Room()
    await withTaskGroup(of: Void.self) { group in
        group.addTask { room.count += 1 }  // error: risks causing data races
    }
    room.count += 1
}
