import MessagePack
import Testing
import Updraft
import UpdraftRPC
import UpdraftTesting

struct RegisterTests {
    private struct Point: MessagePackCodable {
        var x: Int
        var y: Int

        func encode(into writer: inout MessagePackWriter) throws {
            try [x, y].encode(into: &writer)
        }

        static func decode(from reader: inout MessagePackReader) throws -> Point {
            let values = try [Int].decode(from: &reader)
            guard values.count == 2 else { throw RPCError("a point has 2 coordinates") }
            return Point(x: values[0], y: values[1])
        }
    }

    private final class Scores {
        var best = 0

        func submit(_ peer: RPCPeer, _ score: Int) -> Int {
            best = max(best, score)
            return best
        }

        nonisolated(nonsending) func slow(_ score: Int) async throws -> Int {
            try await IOLoop.current.nextTurn()
            return best + score
        }
    }

    @Test func everyShapeOfMethodIsFoundByItsOverload() async throws {
        try await withPair {
            let log = Box<[String]>([])
            $0.register("none") { 42 }
            $0.register("void") { log.value.append("void") }
            $0.register("voidOf") { (x: Int) in log.value.append("voidOf \(x)") }
            $0.register("peer") { (peer: RPCPeer) in peer.isClosed }
            $0.register("peerOf") { (peer: RPCPeer, x: Int) in peer.isClosed ? 0 : x }
            $0.register("peerVoid") { (peer: RPCPeer, x: Int) in peer.userData = x }
            $0.register("asyncNone") {
                try await IOLoop.current.nextTurn()
                return "done"
            }
            $0.register("asyncVoid") { try await IOLoop.current.nextTurn() }
            $0.register("asyncOf") { (x: Int, y: String) in
                try await IOLoop.current.nextTurn()
                return "\(y)\(x)"
            }
            $0.register("asyncVoidOf") { (x: Int) in
                try await IOLoop.current.nextTurn()
                log.value.append("asyncVoidOf \(x)")
            }
            $0.register("asyncPeer") { (peer: RPCPeer, x: Int) in
                try await IOLoop.current.nextTurn()
                return (peer.userData as? Int ?? 0) + x
            }
            $0.register("asyncPeerVoid") { (peer: RPCPeer, x: Int) in
                try await IOLoop.current.nextTurn()
                peer.userData = x
            }
            $0.register("log") { log.value }
        } _: { pair in
            let client = pair.client
            #expect(try await client.call("none") == 42)
            try await client.call("void")
            try await client.call("voidOf", 1)
            #expect(try await client.call("peer") == false)
            #expect(try await client.call("peerOf", 7) == 7)
            try await client.call("peerVoid", 5)
            #expect(try await client.call("asyncNone") == "done")
            try await client.call("asyncVoid")
            #expect(try await client.call("asyncOf", 1, "a") == "a1")
            try await client.call("asyncVoidOf", 2)
            #expect(try await client.call("asyncPeer", 2) == 7)
            try await client.call("asyncPeerVoid", 9)
            #expect(try await client.call("asyncPeer", 0) == 9)
            #expect(try await client.call("log") == ["void", "voidOf 1", "asyncVoidOf 2"])
        }
    }

    @Test func methodsOfObjectsAndTypesOfTheUserServe() async throws {
        try await withPair {
            let scores = Scores()
            $0.register("submit", scores.submit)
            $0.register("slow", scores.slow)
            $0.register("mirror") { (p: Point) in Point(x: p.y, y: p.x) }
            $0.register("maybe") { (x: Int?) in x.map { $0 + 1 } }
            $0.register("keys") { (map: [String: Int]) in map.keys.sorted() }
            $0.register("any") { (value: MessagePackValue) in value }
        } _: { pair in
            let client = pair.client
            #expect(try await client.call("submit", 5) == 5)
            #expect(try await client.call("slow", 1) == 6)
            let mirrored: Point = try await client.call("mirror", Point(x: 1, y: 2))
            #expect(mirrored.x == 2 && mirrored.y == 1)
            let none: Int? = try await client.call("maybe", Int?.none)
            #expect(none == nil)
            #expect(try await client.call("maybe", Int?.some(1)) == 2)
            #expect(try await client.call("keys", ["b": 1, "a": 2]) == ["a", "b"])
            let value: MessagePackValue = ["a": [1, nil]]
            #expect(try await client.call("any", value) == value)
            let error = await rpcErrorOf { try await client.call("mirror", [1]) }
            #expect(error?.message == "argument 1 of 'mirror': a point has 2 coordinates")
        }
    }

    @Test func introspectionNamesMethodsArityAndTypes() async throws {
        try await withPair {
            $0.register("sum") { (x: Int, y: Int) in x + y }
            $0.register("login") { (peer: RPCPeer, uid: String) in peer.userData = uid }
        } _: { pair in
            #expect(try await pair.client.call("rpc.methods") == ["login", "sum"])
            let methods: MessagePackValue = try await pair.client.call("rpc.describe")
            #expect(
                methods == [
                    ["name": "login", "arity": 1, "parameters": ["String"], "result": nil],
                    ["name": "sum", "arity": 2, "parameters": ["Int", "Int"], "result": "Int"],
                ])
        }
    }

    @Test func duplicateNameMakesBindThrowAnErrorWithBothPlaces() async throws {
        try await withLoop { _ in
            let rpc = RPCServer(port: 0)
            rpc.register("sum", { (x: Int) in x }, file: "Game/First.swift", line: 3)
            rpc.register("sum", { (x: Int) in x }, file: "Game/Second.swift", line: 5)
            let error = await rpcErrorOf { try rpc.bind() }
            #expect(error?.code == .duplicateMethod)
            #expect(error?.message.contains("'sum'") == true)
            #expect(error?.message.contains("Game/First.swift:3") == true)
            #expect(error?.message.contains("Game/Second.swift:5") == true)
            let served = await rpcErrorOf { try await rpc.serve() }
            #expect(served?.code == .duplicateMethod)
        }
    }

    @Test func duplicateNameOfAMergedTableMakesConnectThrow() async throws {
        try await withLoop { _ in
            let methods = RPCMethods()
            methods.register("a") { 1 }
            let others = RPCMethods()
            others.register("a") { 2 }
            others.register("b") { 2 }
            methods.merge(others)
            #expect(methods.names == ["a", "b"])
            let error = await rpcErrorOf {
                try await RPCClient.connect(host: "127.0.0.1", port: 1, methods: methods)
            }
            #expect(error?.code == .duplicateMethod)
            #expect(error?.message.contains("RegisterTests.swift") == true)
        }
    }

    @Test func namesThatBeginWithRPCAreReserved() async throws {
        try await withLoop { _ in
            let rpc = RPCServer(port: 0)
            rpc.register("rpc.methods") { 1 }
            let error = await rpcErrorOf { try rpc.bind() }
            #expect(error?.code == .reservedName)
        }
    }

    @Test func tableIsSharedByServers() async throws {
        try await withServer(methods: { $0.register("who") { "shared" } }) { first in
            let second = RPCServer(port: 0, methods: first.methods)
            try second.bind()
            let serving = first.loop.async { try await second.serve() }
            let client = try await RPCClient.connect(host: "127.0.0.1", port: second.port)
            #expect(try await client.call("who") == "shared")
            client.close()
            second.stop()
            try await serving.value
        }
    }
}
