import MessagePack
import Updraft
import UpdraftRPC
import UpdraftTLS

// The blocks of docs/rpc.md.

func serveBothWays() {
    IOLoop.main { loop in
        let rpc = RPCServer(port: 5700)
        rpc.register("sum") { (x: Int, y: Int) in x + y }
        rpc.register("login") { (peer: RPCPeer, uid: String) in rpc.users[uid] = peer }
        try await rpc.serve(until: .terminationSignals, drain: .seconds(5))
    }
}

func callBothWays() async throws {
    let methods = RPCMethods()
    methods.register("confirm") { (question: String) in question == "sure?" }
    let peer = try await RPCClient.connect(host: "127.0.0.1", port: 5700, methods: methods)
    let n: Int = try await peer.call("sum", 1, 2)
    try await peer.call("login", timeout: .seconds(2), "ann")
    try peer.notify("event", n)
    peer.close()
}

struct Size: Codable, MessagePackCodable {
    var width: Int
    var height: Int
}

nonisolated(nonsending) func callOverTLS(
    _ tls: TLSClientContext, _ methods: RPCMethods
) async throws -> RPCPeer {
    let stream = try await TCPClient.connect(host: "game.example", port: 5700, tls: tls)
    let peer = try RPCPeer(stream: stream, methods: methods)
    return peer
}

func serveOverTLS(_ rpc: RPCServer, _ tls: TLSServerContext) {
    rpc.prepareStream = { try await $0.startTLS(server: tls) }
}
