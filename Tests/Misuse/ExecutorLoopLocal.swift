// Loop-local state in blocking work.

import Updraft

/// State of one loop: not Sendable.
nonisolated private final class Room {
    var count = 0
}

nonisolated(nonsending) func useRoomInExecutor(_ loop: IOLoop) async throws {
    let room = Room()
    try await loop.runInExecutor { room.count += 1 }  // error: capture of 'room' with non-Sendable
}
