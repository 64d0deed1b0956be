// A result from off the loop that belongs to one thread.

import Updraft

/// State of one loop: not Sendable.
nonisolated private final class Room {
    var count = 0
}

nonisolated(nonsending) func takeRoomFromOffLoop(_ loop: IOLoop) async throws {
    let room = try await loop.offLoop { Room() }  // error: 'Room' does not conform
    room.count += 1
}
