import MessagePack
import Testing
import Updraft
import UpdraftRPC

/// Half a frame and then silence: issue 2, bad input.
@Suite struct HalfMessageTests {
    private static let request: [UInt8] = [0x94, 0, 1, 0xA3, 0x73, 0x75, 0x6D, 0x92, 1, 2]

    private func options(_ limit: Duration) -> RPCOptions {
        var options = RPCOptions()
        options.messageTimeout = limit
        return options
    }

    @Test func aMessageThatIsNotCompletedInTimeIsToldAndEndsTheConnection() async throws {
        try await withServer(options: options(.milliseconds(20))) {
            $0.register("sum") { (x: Int, y: Int) in x + y }
        } _: { server in
            let raw = try await RawClient(server)
            let half = Self.request + Self.request.dropLast(3)
            try await raw.stream.write(Array(half))
            let answer = try await raw.receive()
            #expect(answer == [1, 1, nil, 3])
            guard case .array(let reply) = try await raw.receive() else {
                Issue.record("no error came")
                return
            }
            #expect(reply[1] == 0)
            #expect(reply[2].stringValue?.contains("not complete within") == true)
            #expect(try await raw.stream.readToEnd() == [])
            raw.stream.close()
        }
    }

    @Test func aSilentPeerBetweenMessagesAndOneThatCompletesAreLeftAlone() async throws {
        try await withServer(options: options(.seconds(1)), inVirtualTime: true) {
            $0.register("sum") { (x: Int, y: Int) in x + y }
        } _: { server in
            let raw = try await RawClient(server)
            for _ in 0..<2 {
                try await raw.stream.write(Array(Self.request.prefix(4)))
                try await server.loop.nextTurn()
                try await raw.stream.write(Array(Self.request.dropFirst(4)))
                let answer = try await raw.receive()
                #expect(answer == [1, 1, nil, 3])
            }
            // Later than the limit of what came last: silence between messages has none.
            try await server.loop.sleep(for: .seconds(60))
            #expect(server.peerCount == 1)
            raw.stream.close()
        }
    }
}
