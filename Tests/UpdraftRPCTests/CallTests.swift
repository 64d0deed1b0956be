import MessagePack
import Testing
import Updraft
import UpdraftRPC
import UpdraftTesting

struct CallTests {
    private struct Secret: Error {}

    private struct GameOver: RPCReportableError {
        var rpcMessage: String { "the game is over" }
    }

    @Test func callReturnsTheResult() async throws {
        try await withPair {
            $0.register("sum") { (x: Int, y: Int) in x + y }
        } _: { pair in
            #expect(try await pair.client.call("sum", 1, 2) == 3)
            let n: Int = try await pair.client.call("sum", 40, 2)
            #expect(n == 42)
            let value = try await pair.client.call("sum", arguments: [1, -2])
            #expect(value == -1)
        }
    }

    @Test func errorsOfMethodsAreToldOnlyAsFarAsTheyMayBe() async throws {
        try await withPair {
            $0.register("own") { (x: Int) throws -> Int in throw RPCError("x is \(x)") }
            $0.register("secret") { (x: Int) throws -> Int in throw Secret() }
            $0.register("over") { () throws -> Void in throw GameOver() }
            $0.register("later") {
                try await IOLoop.current.nextTurn()
                throw Secret()
            }
        } _: { pair in
            let client = pair.client
            let own = await rpcErrorOf { try await client.call("own", 3) }
            #expect(own?.code == .remote)
            #expect(own?.message == "x is 3")
            #expect(own?.value == "x is 3")
            let secret = await rpcErrorOf { try await client.call("secret", 3) }
            #expect(secret?.message == "internal error in 'secret'")
            let over = await rpcErrorOf { try await client.call("over") }
            #expect(over?.message == "the game is over")
            let later = await rpcErrorOf { try await client.call("later") }
            #expect(later?.message == "internal error in 'later'")
            let unknown = await rpcErrorOf { try await client.call("nope") }
            #expect(unknown?.message.contains("nope") == true)
        }
    }

    @Test func resultThatCannotBeEncodedIsAnErrorAndNotHalfAReply() async throws {
        try await withPair {
            $0.register("deep") { (depth: Int) in
                (0..<depth).reduce(MessagePackValue.nil) { value, _ in .array([value]) }
            }
            $0.register("one") { 1 }
        } _: { pair in
            let good: MessagePackValue = try await pair.client.call("deep", 63)
            #expect(good.arrayValue?.count == 1)
            let error = await rpcErrorOf { try await pair.client.call("deep", 64) }
            #expect(error?.message == "internal error in 'deep'")
            #expect(try await pair.client.call("one") == 1)
        }
    }

    @Test func argumentsTooDeepForThePeerAreRefusedHere() async throws {
        try await withPair {
            $0.register("any") { (_: MessagePackValue) in true }
        } _: { pair in
            let deep = (0..<62).reduce(MessagePackValue.nil) { value, _ in .array([value]) }
            let accepted: Bool = try await pair.client.call("any", deep)
            #expect(accepted)
            let error = await rpcErrorOf { try await pair.client.call("any", [deep]) }
            #expect(error?.code == .invalidArgument)
            let acceptedAgain: Bool = try await pair.client.call("any", deep)
            #expect(acceptedAgain)
        }
    }

    @Test func messageAboveTheLimitIsRefusedBeforeItIsSent() async throws {
        var small = RPCOptions()
        small.messageBytesMax = 1_000
        let options = small
        try await withPair(options: options, clientOptions: options) {
            $0.register("big") { (n: Int) in String(repeating: "x", count: n) }
            $0.register("length") { (text: String) in text.utf8.count }
        } _: { pair in
            let result = await rpcErrorOf { try await pair.client.call("big", 2_000) }
            #expect(result?.code == .remote)
            #expect(result?.message.contains("1000") == true)
            let text = String(repeating: "x", count: 2_000)
            let call = await rpcErrorOf { try await pair.client.call("length", text) }
            #expect(call?.code == .messageTooLarge)
            let length: Int = try await pair.client.call("length", "abc")
            #expect(length == 3)
        }
    }

    @Test func resultOfAnotherTypeIsAnErrorOfItsOwn() async throws {
        try await withPair {
            $0.register("text") { "abc" }
        } _: { pair in
            let error = await rpcErrorOf { () -> Int in try await pair.client.call("text") }
            #expect(error?.code == .invalidResult)
            #expect(error?.message.contains("'text'") == true)
        }
    }

    @Test func bothSidesCallEachOtherInsideACall() async throws {
        try await withPair(clientMethods: {
            $0.register("double") { (peer: RPCPeer, x: Int) in
                let half: Int = try await peer.call("halve", x)
                return half * 4
            }
        }) {
            $0.register("halve") { (x: Int) in x / 2 }
            $0.register("viaClient") { (peer: RPCPeer, x: Int) in
                let doubled: Int = try await peer.call("double", x)
                return doubled + 1
            }
        } _: { pair in
            #expect(try await pair.client.call("viaClient", 10) == 21)
            let peer = try #require(pair.server.peers.first)
            #expect(try await peer.call("double", 6) == 12)
        }
    }

    @Test func answersComeInAnyOrder() async throws {
        try await withPair {
            let gate = Gate()
            $0.register("slow") {
                try await gate.wait()
                return "slow"
            }
            $0.register("fast") { "fast" }
            $0.register("open") { gate.open() }
        } _: { pair in
            let client = pair.client
            let order = Box<[String]>([])
            try await client.loop.group { group in
                group.spawn { order.value.append(try await client.call("slow")) }
                group.spawn {
                    order.value.append(try await client.call("fast"))
                    try await client.call("open")
                }
            }
            #expect(order.value == ["fast", "slow"])
        }
    }

    @Test func timedOutCallIsRemovedAndItsLateReplyDropped() async throws {
        try await withPair {
            let gate = Gate()
            $0.register("slow") {
                try await gate.wait()
                return "late"
            }
            $0.register("open") { gate.open() }
            $0.register("one") { 1 }
        } _: { pair in
            let client = pair.client
            let error = await rpcErrorOf {
                try await client.call("slow", timeout: .milliseconds(20)) as String
            }
            #expect(error?.code == .timeout)
            #expect(error?.message.contains("'slow'") == true)
            #expect(client.callsInFlight == 0)
            try await client.call("open")
            let peer = try #require(pair.server.peers.first)
            try await until(client.loop) { peer.requestsInProgress == 0 }
            #expect(try await client.call("one") == 1)
            #expect(!client.isClosed)
        }
    }

    @Test func cancelledCallAndEnclosingTimeoutRemoveTheCall() async throws {
        try await withPair {
            let gate = Gate()
            $0.register("never") { try await gate.wait() }
            $0.register("open") { gate.open() }
            $0.register("one") { 1 }
        } _: { pair in
            let client = pair.client
            let outcome = Box<(any Error)?>(nil)
            let task = client.loop.spawn {
                outcome.value = await errorOf { try await client.call("never") }
            }
            try await until(client.loop) { client.callsInFlight == 1 }
            task.cancel()
            await task.value
            #expect(outcome.value is CancellationError)
            #expect(client.callsInFlight == 0)
            let timeout = await errorOf {
                try await withTimeout(.milliseconds(20)) { try await client.call("never") }
            }
            #expect(timeout is TimeoutError)
            #expect(client.callsInFlight == 0)
            try await client.call("open")
            #expect(try await client.call("one") == 1)
        }
    }

    @Test func callsInFlightAreBounded() async throws {
        var options = RPCOptions()
        options.callsInFlightMax = 2
        try await withPair(clientOptions: options) {
            let gate = Gate()
            $0.register("slow") { try await gate.wait() }
            $0.register("open") { gate.open() }
        } _: { pair in
            let client = pair.client
            try await client.loop.group { group in
                group.spawn { try await client.call("slow") }
                group.spawn { try await client.call("slow") }
                try await until(client.loop) { client.callsInFlight == 2 }
                let error = await rpcErrorOf { try await client.call("slow") }
                #expect(error?.code == .tooManyCalls)
                try client.notify("open")
            }
            #expect(client.callsInFlight == 0)
        }
    }

    @Test func notificationsArriveInOrderAndAreNeverAnswered() async throws {
        try await withServer(methods: {
            let seen = Box<[Int]>([])
            $0.register("event") { (x: Int) in seen.value.append(x) }
            $0.register("fails") { () throws -> Void in throw Secret() }
            $0.register("failsLater") {
                try await IOLoop.current.nextTurn()
                throw RPCError("later")
            }
            $0.register("seen") { seen.value }
        }) { server in
            let raw = try await RawClient(server)
            try await raw.send(
                [2, "event", [1]], [2, "event", ["x"]], [2, "event", []], [2, "nope", []],
                [2, "fails", []], [2, "failsLater", []], [2, 5, []], [2, "event", 3],
                [2, "event", [2]], [0, 9, "seen", []])
            #expect(try await raw.receive() == [1, 9, nil, [1, 2]])
            let client = try await RPCClient.connect(host: "127.0.0.1", port: server.port)
            for x in 3..<6 { try client.notify("event", x) }
            try client.notify("event", arguments: [6])
            #expect(try await client.call("seen") == [1, 2, 3, 4, 5, 6])
            client.close()
            raw.stream.close()
        }
    }

    @Test(
        arguments: [
            ("plain", "plain"), ([1, "in a list"], "in a list"),
            (["message": "in a map", "code": 7], "in a map"), ([1, 2, 3], "[1, 2, 3]"),
        ] as [(MessagePackValue, String)])
    func errorsOfAnyShapeAreUnderstood(value: MessagePackValue, text: String) async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.bind()
            try server.listen { stream in
                _ = try await stream.read(upTo: 1_000)
                let reply: MessagePackValue = [1, 1, value, nil]
                try await stream.write(try reply.messagePackBytes())
                _ = try await stream.readToEnd()
            }
            let client = try await RPCClient.connect(host: "127.0.0.1", port: server.port)
            let error = await rpcErrorOf { try await client.call("x") }
            #expect(error?.code == .remote)
            #expect(error?.message == text)
            #expect(error?.value == value)
            client.close()
            server.stop()
        }
    }
}
