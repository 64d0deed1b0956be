import MessagePack
import Testing
import Updraft
import UpdraftTesting

@testable import UpdraftRPC

/// A shutdown with RPC connections: contract rows P2, P3 and the row "gaps" below them.
struct RPCShutdownTests {
    @Test func oneSignalDrainsAnRPCServerAndAnother_gaps() async throws {
        try await withLoop { loop in
            let rpc = RPCServer(port: 0)
            let gate = Gate()
            rpc.register("slow") { (x: Int) in
                try await gate.wait()
                return x
            }
            try rpc.listen()
            let lines = TCPServer(port: 0)
            try lines.listen { stream in
                for try await line in stream.lines { try await stream.write(line) }
            }
            let client = try await RPCClient.connect(host: "127.0.0.1", port: rpc.port)
            let other = try await TCPClient.connect(host: "127.0.0.1", port: lines.port)
            let call = loop.async { try await client.call("slow", 7) as Int }
            try await until(loop) { gate.waiting == 1 && lines.connectionCount == 1 }
            loop.shutDown(within: .seconds(20))
            let end = await errorOf { try await other.read(upTo: 1) }
            #expect((end as? StreamError)?.code == .endOfStream)
            #expect(!call.isDone)
            gate.open()
            let seven = try await call.value
            #expect(seven == 7)
            let report = try await loop.serve(until: .requested)
            #expect(report.isClean)
            other.close()
        }
    }

    @Test func answersThatNobodyReadsAreWaitedForAndCut_gaps() async throws {
        try await withLoop { loop in
            let rpc = RPCServer(port: 0)
            rpc.register("much") { [UInt8](repeating: 7, count: 8_000_000) }
            try rpc.bind()
            let serving = loop.async {
                try await rpc.serve(until: .requested, drain: .seconds(1))
            }
            let raw = try await RawClient(rpc)
            try await raw.send([0, 1, "much", []])
            try await until(loop) { (rpc.peers.first?.stream.unsentBytes ?? 0) > 0 }
            loop.shutDown(within: .milliseconds(100))
            let report = try await serving.value
            #expect(report.cutConnections == 1)
            raw.stream.abort()
        }
    }

    @Test func requestsInProgressAreNamed_gaps() async throws {
        try await withLoop { loop in
            let rpc = RPCServer(port: 0)
            rpc.register("hang") { try await loop.sleep(for: .seconds(60)) }
            try rpc.listen()
            let client = try await RPCClient.connect(host: "127.0.0.1", port: rpc.port)
            let calls = (0..<5).map { _ in
                loop.async { await rpcErrorOf { try await client.call("hang") } }
            }
            try await until(loop) { rpc.peers.first?.requestsInProgress == 5 }
            let dump = loop.dump()
            #expect(
                dump.contains("(5 requests in progress: 'hang', 'hang', 'hang', …)"), "\(dump)")
            loop.shutDown(within: .milliseconds(20))
            let report = try await loop.serve(until: .requested)
            #expect(report.cutConnections == 1)
            for call in calls { _ = try await call.value }
        }
    }
}
