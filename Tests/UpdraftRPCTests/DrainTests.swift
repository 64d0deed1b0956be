import MessagePack
import Testing
import Updraft
import UpdraftTesting

@testable import UpdraftRPC

struct DrainTests {
    @Test func drainAnswersWhatTheKernelHasAndWhatIsInProgressThenCloses() async throws {
        try await withLoop { loop in
            let rpc = RPCServer(port: 0)
            let gate = Gate()
            rpc.register("sum") { (x: Int, y: Int) in x + y }
            rpc.register("slow") { (x: Int) in
                try await gate.wait()
                return x
            }
            try rpc.bind()
            let serving = loop.async { try await rpc.serve() }
            let raw = try await RawClient(rpc)
            let idle = try await RPCClient.connect(host: "127.0.0.1", port: rpc.port)
            try await raw.send([0, 1, "slow", [5]])
            try await until(loop) { rpc.peers.first?.requestsInProgress == 1 }
            try await until(loop) { rpc.peerCount == 2 }
            // Sent, but no turn of the loop has told the server of it.
            try await raw.send([0, 2, "sum", [1, 2]])
            try await raw.stream.flush()
            rpc.stop()
            #expect(try await raw.receive() == [1, 2, nil, 3])
            try await idle.closed()
            try await raw.send([0, 3, "sum", [1, 2]])
            let refusal = try await raw.receive()
            #expect(refusal[1] == 3)
            #expect(refusal[2]?.stringValue?.contains("stopping") == true)
            gate.open()
            #expect(try await raw.receive() == [1, 1, nil, 5])
            #expect(try await raw.stream.readToEnd() == [])
            raw.stream.close()
            try await serving.value
            let refused = await errorOf {
                try await TCPClient.connect(host: "127.0.0.1", port: rpc.port)
            }
            #expect((refused as? StreamError)?.code == .cannotConnect)
        }
    }

    @Test func drainCutsWhatIsLeftAtTheDeadlineAndCountsIt() async throws {
        try await withLoop { loop in
            let rpc = RPCServer(port: 0)
            let cancelled = Box(false)
            rpc.register("hang") {
                defer { cancelled.value = true }
                try await loop.sleep(for: .seconds(60))
            }
            try rpc.bind()
            let serving = loop.async { try await rpc.serve() }
            let client = try await RPCClient.connect(host: "127.0.0.1", port: rpc.port)
            let idle = try await RPCClient.connect(host: "127.0.0.1", port: rpc.port)
            let call = loop.async { await rpcErrorOf { try await client.call("hang") } }
            try await until(loop) { rpc.peers.first?.requestsInProgress == 1 }
            try await until(loop) { rpc.peerCount == 2 }
            let cut = await rpc.drain(.milliseconds(50))
            #expect(cut == 1)
            try await serving.value
            #expect(cancelled.value)
            #expect(try await call.value?.code == .connectionLost)
            #expect(idle.isClosed)
        }
    }

    @Test func methodInProgressMayCallItsClientWhileItIsDrained() async throws {
        try await withLoop { loop in
            let rpc = RPCServer(port: 0)
            let gate = Gate()
            rpc.register("ask") { (peer: RPCPeer) in
                try await gate.wait()
                let answer: String = try await peer.call("confirm")
                return answer + "!"
            }
            try rpc.bind()
            let serving = loop.async { try await rpc.serve() }
            let methods = RPCMethods()
            methods.register("confirm") { "yes" }
            let client = try await RPCClient.connect(
                host: "127.0.0.1", port: rpc.port, methods: methods)
            let call = loop.async { try await client.call("ask") as String }
            try await until(loop) { gate.waiting == 1 }
            rpc.stop()
            gate.open()
            #expect(try await call.value == "yes!")
            try await serving.value
        }
    }

    @Test func cancelledServeCutsItsConnections() async throws {
        try await withLoop { loop in
            let rpc = RPCServer(port: 0)
            try rpc.bind()
            let serving = loop.async { try await rpc.serve() }
            let client = try await RPCClient.connect(host: "127.0.0.1", port: rpc.port)
            try await until(loop) { rpc.peerCount == 1 }
            serving.cancel()
            let error = await errorOf { try await serving.value }
            #expect(error is CancellationError)
            try await client.closed()
            #expect(rpc.peerCount == 0)
        }
    }

    @Test func aMethodMayStopItsServerAndWhatCameWithItIsAnsweredOnce() async throws {
        try await withLoop { loop in
            let rpc = RPCServer(port: 0)
            rpc.register("sum") { (x: Int, y: Int) in x + y }
            rpc.register("stop") { rpc.stop() }
            try rpc.bind()
            let serving = loop.async { try await rpc.serve() }
            let raw = try await RawClient(rpc)
            // In two pieces, so that the requests stand in the stream's own buffer.
            let requests: [MessagePackValue] = [
                [0, 1, "stop", []], [0, 2, "sum", [1, 2]],
            ]
            let bytes = try requests.flatMap { try $0.messagePackBytes() }
            try await raw.stream.write(Array(bytes.prefix(3)))
            try await raw.stream.flush()
            try await until(loop) { rpc.peers.first?.stream.unparsedBytes == 3 }
            try await raw.stream.write(Array(bytes.dropFirst(3)))
            #expect(try await raw.receive() == [1, 1, nil, nil])
            #expect(try await raw.receive() == [1, 2, nil, 3])
            let end = await errorOf { try await raw.receive() }
            #expect((end as? StreamError)?.code == .endOfStream)
            raw.stream.close()
            try await serving.value
        }
    }
}
