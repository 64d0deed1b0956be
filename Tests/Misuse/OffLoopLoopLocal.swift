// Loop-local state in a closure that leaves the loop.

import Updraft

/// State of one loop: not Sendable.
nonisolated private final class Room {
    var count = 0
}

nonisolated(nonsending) func useRoomOffLoop(_ loop: IOLoop) async throws {
    let room = Room()
    try await loop.offLoop { room.count += 1 }  // error: capture of 'room' with non-Sendable
}
