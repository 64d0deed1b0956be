import MessagePack
import Testing
import Updraft
import UpdraftRPC
import UpdraftTesting

struct ConnectionTests {
    @Test func lostConnectionFailsEveryPendingCallAtOnceAndEndsRequests() async throws {
        let cancelled = Counter()
        try await withServer(methods: {
            $0.register("hang") {
                do {
                    try await IOLoop.current.sleep(for: .seconds(60))
                } catch {
                    cancelled.add(1)
                    throw error
                }
            }
        }) { server in
            let gone = Box(0)
            server.onDisconnect = { _ in gone.value += 1 }
            let client = try await RPCClient.connect(host: "127.0.0.1", port: server.port)
            let errors = Box<[RPCError?]>([])
            try await client.loop.group { group in
                for _ in 0..<3 {
                    group.spawn {
                        errors.value.append(await rpcErrorOf { try await client.call("hang") })
                    }
                }
                try await until(client.loop) { server.peers.first?.requestsInProgress == 3 }
                client.abort()
                #expect(client.isClosed)
            }
            #expect(errors.value.count == 3)
            #expect(errors.value.allSatisfy { $0?.code == .connectionLost })
            try await until(client.loop) { server.peerCount == 0 && cancelled.value == 3 }
            #expect(gone.value == 1)
            let after = await rpcErrorOf { try await client.call("hang") }
            #expect(after?.code == .connectionLost)
            #expect(throws: RPCError.self) { try client.notify("hang") }
        }
    }

    @Test func serverThatResetsFailsPendingCallsWithTheCause() async throws {
        try await withPair {
            $0.register("reset") { (peer: RPCPeer) in
                peer.loop.callLater(.milliseconds(1)) { peer.abort() }
                try await peer.loop.sleep(for: .seconds(60))
            }
        } _: { pair in
            let error = await rpcErrorOf { try await pair.client.call("reset") }
            #expect(error?.code == .connectionLost)
            #expect(error?.cause is StreamError)
            try await pair.client.closed()
            #expect(pair.client.isClosed)
        }
    }

    @Test func halfClosedClientGetsItsAnswersAndThenTheEnd() async throws {
        try await withServer(methods: {
            let gate = Gate()
            $0.register("slow") { (x: Int) in
                try await gate.wait()
                return x
            }
            $0.onConnect = { peer in
                peer.loop.spawn {
                    try await until(peer.loop) { peer.requestsInProgress == 2 }
                    // Our own call to a client that can't answer any more fails at once.
                    let error = await rpcErrorOf { try await peer.call("x") }
                    #expect(error?.code == .connectionLost)
                    gate.open()
                }
            }
        }) { server in
            let raw = try await RawClient(server)
            try await raw.send([0, 1, "slow", [1]], [0, 2, "slow", [2]])
            raw.stream.endWriting()
            var answers: Set<MessagePackValue> = []
            while answers.count < 2 {
                let message = try await raw.receive()
                if message[0] == 1 { answers.insert(message) }
            }
            #expect(answers == [[1, 1, nil, 1], [1, 2, nil, 2]])
            #expect(try await raw.stream.readToEnd() == [])
            try await until(server.loop) { server.peerCount == 0 }
            raw.stream.close()
        }
    }

    @Test func usersForgetAPeerThatDisconnectsButNotItsSuccessor() async throws {
        try await withServer(methods: { rpc in
            rpc.register("login") { (peer: RPCPeer, uid: String) in
                rpc.users[uid]?.close()
                rpc.users[uid] = peer
            }
        }) { server in
            let gone = Box(0)
            server.onDisconnect = { _ in gone.value += 1 }
            let older = try await RPCClient.connect(host: "127.0.0.1", port: server.port)
            let newer = try await RPCClient.connect(host: "127.0.0.1", port: server.port)
            try await older.call("login", "ann")
            try await older.call("login", "other name of ann")
            #expect(server.users.count == 2)
            try await newer.call("login", "ann")
            try await older.closed()
            try await until(server.loop) { gone.value == 1 }
            #expect(Array(server.users.names) == ["ann"])
            #expect(server.users["ann"] === server.peers.first)
            newer.close()
            try await until(server.loop) { gone.value == 2 }
            #expect(server.users.isEmpty)
            #expect(server.peers.isEmpty)
        }
    }

    @Test func closedPeerCannotBeNamed() async throws {
        try await withPair { rpc in
            rpc.register("leave") { (peer: RPCPeer) in
                peer.close()
                rpc.users["ghost"] = peer
                return "bye"
            }
        } _: { pair in
            // The method that closes its caller's connection is still answered.
            #expect(try await pair.client.call("leave") == "bye")
            #expect(pair.server.users["ghost"] == nil)
            try await pair.client.closed()
        }
    }

    @Test func connectHandlerSeesThePeerBeforeItsFirstRequest() async throws {
        try await withPair { rpc in
            rpc.onConnect = { peer in peer.userData = "greeted" }
            rpc.register("data") { (peer: RPCPeer) in peer.userData as? String ?? "none" }
        } _: { pair in
            #expect(try await pair.client.call("data") == "greeted")
            let peer = try #require(pair.server.peers.first)
            #expect(peer.address?.host == "127.0.0.1")
            #expect(pair.client.address?.port == pair.server.port)
            #expect(peer.id != pair.client.id)
        }
    }

    @Test func replyWrittenFromMethodsOfBothKindsMayNotifyMeanwhile() async throws {
        struct Chatty: MessagePackEncodable {
            let peer: RPCPeer

            func encode(into writer: inout MessagePackWriter) throws {
                try peer.notify("aside")
                writer.write("chatty")
            }
        }
        let asides = Counter()
        try await withPair(clientMethods: {
            $0.register("aside") { asides.add(1) }
        }) {
            $0.register("chat") { (peer: RPCPeer) in Chatty(peer: peer) }
        } _: { pair in
            let answer: String = try await pair.client.call("chat")
            #expect(answer == "chatty")
            #expect(asides.value == 1)
        }
    }
}
