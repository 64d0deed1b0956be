import Updraft
import UpdraftRPC

func serveCalls() {
    IOLoop.main { loop in
        let rpc = RPCServer(port: 5701)
        rpc.register("sum") { (x: Int, y: Int) in x + y }
        rpc.register("login") { (peer: RPCPeer, uid: String) in rpc.users[uid] = peer }
        rpc.register("ask") { (uid: String) -> Bool in
            guard let peer = rpc.users[uid] else { throw RPCError("\(uid) is not here") }
            return try await peer.call("confirm", "sure?")
        }
        try await rpc.serve(until: .signals([.sigterm, .sigint]), drain: .seconds(5))
    }
}

func callServer() {
    IOLoop.main { loop in
        let peer = try await RPCClient.connect(host: "127.0.0.1", port: 5701)
        let three: Int = try await peer.call("sum", 1, 2)
        print(three)
    }
}
