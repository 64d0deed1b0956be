import MessagePack
import Testing
import Updraft
import UpdraftRPC
import UpdraftTesting

struct BackPressureTests {
    @Test func requestsInProgressAreBoundedAndTheRestFollows() async throws {
        var options = RPCOptions()
        options.requestsInProgressMax = 4
        let most = Counter()
        try await withServer(
            options: options,
            methods: { rpc in
                let gate = Gate()
                rpc.register("slow") { (peer: RPCPeer, x: Int) in
                    if gate.waiting + 1 > most.value { most.add(1) }
                    try await gate.wait()
                    return x
                }
                rpc.onConnect = { peer in
                    peer.loop.spawn {
                        try await until(peer.loop) { gate.waiting == 4 }
                        // Were there no bound, more of them would start in these turns.
                        for _ in 0..<20 { try await peer.loop.nextTurn() }
                        gate.open()
                    }
                }
            }
        ) { server in
            let client = try await RPCClient.connect(host: "127.0.0.1", port: server.port)
            let sum = Box(0)
            try await client.loop.group { group in
                for x in 1...50 {
                    group.spawn { sum.value += try await client.call("slow", x) }
                }
            }
            #expect(sum.value == 1_275)
            client.close()
        }
        #expect(most.value == 4)
    }

    @Test func peerThatDoesNotReadIsNotReadFromAndGetsAllWhenItReads() async throws {
        let calls = Counter()
        try await withServer(methods: { rpc in
            rpc.register("big") { (x: Int) in
                calls.add(1)
                return String(repeating: "x", count: 200_000)
            }
        }) { server in
            let raw = try await RawClient(server)
            let wanted = 200
            for id in 0..<wanted {
                try await raw.send([0, .int(Int64(id)), "big", [1]])
            }
            try await raw.stream.flush()
            try await until(server.loop) { calls.value > 4 }
            for _ in 0..<50 { try await server.loop.nextTurn() }
            // 40 MB of answers in all; the kernel and the mark hold a part of them.
            #expect(calls.value < wanted)
            for id in 0..<wanted {
                let answer = try await raw.receive()
                #expect(answer[1] == .int(Int64(id)))
            }
            #expect(calls.value == wanted)
            raw.stream.close()
        }
    }

    @Test func peerThatTakesNothingForTooLongIsCutOffAndTheOthersDoNotNotice() async throws {
        var options = RPCOptions()
        options.stallTimeout = .milliseconds(100)
        try await withServer(
            options: options,
            methods: { rpc in
                rpc.register("big") { String(repeating: "x", count: 200_000) }
                rpc.register("one") { 1 }
            }
        ) { server in
            let good = try await RPCClient.connect(host: "127.0.0.1", port: server.port)
            let raw = try await RawClient(server)
            for id in 0..<200 { try await raw.send([0, .int(Int64(id)), "big", []]) }
            while server.peerCount == 2 {
                let one: Int = try await good.call("one")
                #expect(one == 1)
            }
            #expect(server.peerCount == 1)
            raw.stream.abort()
            good.close()
        }
    }

    @Test func peerThatReadsSlowlyIsNotCutOff() async throws {
        var options = RPCOptions()
        options.stallTimeout = .seconds(2)
        try await withServer(
            options: options, inVirtualTime: true,
            methods: { rpc in
                rpc.register("big") { String(repeating: "x", count: 100_000) }
            }
        ) { server in
            let raw = try await RawClient(server)
            for id in 0..<100 { try await raw.send([0, .int(Int64(id)), "big", []]) }
            var bytes = 0
            // Slow, but steady: far longer in all than the limit for no progress.
            for _ in 0..<100 {
                bytes += try await raw.stream.read(upTo: 65_536).count
                try await server.loop.sleep(for: .milliseconds(100))
            }
            #expect(server.peerCount == 1)
            while bytes < 100 * 100_000 { bytes += try await raw.stream.read(upTo: 65_536).count }
            raw.stream.close()
        }
    }

    /// More than the limit and than a stream's share of the turn, to a peer that takes all of it.
    @Test func muchInOneTurnIsNoReasonToCutOffAPeerThatTakesIt() async throws {
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 1 << 26)
            var options = RPCOptions()
            options.unsentBytesMax = 2_000_000
            let peer = try RPCPeer(stream: near, options: options)
            let text = String(repeating: "x", count: 100_000)
            for _ in 0..<100 { try peer.notify("event", text) }
            peer.close()
            #expect(try await far.readToEnd().count > 100 * 100_000)
            far.close()
        }
    }

    /// As fast as a peer takes its answers, its neighbours have their turns between them.
    @Test func answersToAPeerThatTakesAllLeaveInSharesOfATurn() async throws {
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 1 << 26)
            let methods = RPCMethods()
            methods.register("big") { String(repeating: "x", count: 100_000) }
            let peer = try RPCPeer(stream: near, methods: methods)
            for id in 0..<200 {
                let request: MessagePackValue = [0, .int(Int64(id)), "big", []]
                try await far.write(try request.messagePackBytes())
            }
            var most: UInt64 = 0
            var last: UInt64 = 0
            while last < 200 * 100_000 {
                try await loop.nextTurn()
                most = max(most, near.sentBytes - last)
                last = near.sentBytes
            }
            // The share is looked at before each send, which may be of all up to the mark.
            let bound = loop.limits.streamBytesMax + peer.options.unsentHighMark + 200_000
            #expect(most < UInt64(bound))
            peer.close()
            far.close()
        }
    }

    /// That a peer has taken something is told in a later turn.
    @Test func aPeerThatHasTakenWhatItGotIsNotCutOffBeforeThatIsTold() async throws {
        try await withLoop { loop in
            let (near, far) = MemoryTransport.pair(on: loop, capacity: 1_000_000)
            var options = RPCOptions()
            options.unsentBytesMax = 2_000_000
            let peer = try RPCPeer(stream: IOStream(near, loop: loop), options: options)
            let text = String(repeating: "x", count: 100_000)
            // What lies unsent is more than the high mark: it is waited for.
            for _ in 0..<25 { try peer.notify("event", text) }
            var bytes = [UInt8](repeating: 0, count: 1_000_000)
            guard case .bytes(1_000_000) = try bytes.withUnsafeMutableBytes(far.read(into:)) else {
                Issue.record("The peer got less than there was room for.")
                return
            }
            for _ in 0..<10 { try peer.notify("event", text) }
            #expect(!peer.isClosed)
            peer.abort()
        }
    }

    @Test func notificationsToAPeerThatDoesNotReadAreBounded() async throws {
        var options = RPCOptions()
        options.unsentBytesMax = 2_000_000
        try await withServer(options: options, methods: { _ in }) { server in
            let raw = try await RawClient(server)
            try await until(server.loop) { server.peerCount == 1 }
            let peer = try #require(server.peers.first)
            let text = String(repeating: "x", count: 100_000)
            var sent = 0
            let error = await rpcErrorOf {
                while true {
                    try peer.notify("event", text)
                    sent += 1
                    if sent % 16 == 0 { try await server.loop.nextTurn() }
                }
            }
            #expect(error?.code == .connectionLost)
            #expect(peer.isClosed)
            #expect(sent * 100_000 > 2_000_000)
            try await until(server.loop) { server.peerCount == 0 }
            raw.stream.abort()
        }
    }
}
