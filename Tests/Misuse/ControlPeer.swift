// What may be done with peers and test loops. It must compile.

import Updraft
import UpdraftRPC
import UpdraftTesting

nonisolated func runPeers() throws {
    try IOLoop.run { loop in
        let server = RPCServer(port: 5700)
        server.register("sum") { (x: Int, y: Int) in x + y }
        loop.spawn { try await server.serve() }
        let peer = try await RPCClient.connect(host: "127.0.0.1", port: 5700)
        let sum: Int = try await peer.call("sum", 1, 2)
        loop.addCallback { try peer.notify("total", sum) }
    }
}

nonisolated func runTestLoop() async throws {
    let bytes = try await withLoop { loop in
        let (near, far) = try MemoryStream.pair(on: loop)
        loop.spawn { try await far.write("ping") }
        return try await near.read(exactly: 4)
    }
    _ = bytes.count
}
