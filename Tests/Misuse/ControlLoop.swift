// What may be done with a loop and a stream, on the loop and from elsewhere. It must compile.

import Updraft

nonisolated private final class Room {
    var count = 0
}

@concurrent nonisolated private func count(_ bytes: [UInt8]) async -> Int { bytes.count }

nonisolated func runControl() throws {
    let mine = Room()
    try IOLoop.run { loop in
        let room = mine
        let remote = loop.remote
        loop.callLater(.seconds(1)) { room.count += 1 }
        loop.spawn { room.count += 1 }
        Task.detached { remote.addCallback {} }
        try await TCPServer(port: 7000).serve { stream in
            let reply = loop.async { try await stream.read(exactly: 4) }
            try await loop.group { group in
                group.spawn { try await stream.write("ping") }
                group.spawn { room.count += 1 }
            }
            let bytes = try await reply.value
            async let size = count(bytes)
            room.count += try await loop.runInExecutor { bytes.count }
            room.count += try await loop.offLoop { await count(bytes) }
            room.count += await size
        }
    }
}

nonisolated func runControlOnSeveralLoops() throws {
    try IOLoop.run(loops: 2) { loop in
        let room = Room()
        loop.addCallback { room.count += 1 }
        try await TCPServer(port: 7000).serve { stream in stream.close() }
    }
}
