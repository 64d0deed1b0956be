import TestSupport
import Testing
import Updraft
import UpdraftTLS
import UpdraftTesting

/// Peers that are there and of no use, or gone without a word, over every transport. Each is met
/// over and over, and leaves nothing behind.
@Suite struct FaultPeerTests {
    private typealias Body = nonisolated(nonsending) @Sendable (IOLoop) async throws -> Void

    private func withRealTime(_ body: @escaping Body) async throws { try await withLoop(body) }

    private func withVirtualTime(_ body: @escaping Body) async throws {
        try await withVirtualLoop(body)
    }

    @Test("a peer that never reads", arguments: TransportKind.allCases)
    func writesToAPeerThatNeverReadsAreBoundedAndTimeOut(over kind: TransportKind) async throws {
        let piece = [UInt8](repeating: 1, count: 50_000)
        // In virtual time the time-out comes when nothing moves any more. Those that are slow are
        // so by being busy.
        let run = kind.isSlow ? withRealTime : withVirtualTime
        try await run { loop in
            try await expectNoGrowth(on: loop) {
                let (near, far) = try await kind.pair(on: loop)
                var written = 0
                let error = await failure {
                    try await withTimeout(.milliseconds(150)) {
                        while true {
                            try await near.write(piece)
                            written += piece.count
                        }
                    }
                }
                #expect(error is TimeoutError)
                // It waited from above the high mark on, for no more than the low one.
                #expect(near.unsentBytes > near.options.lowWaterMark)
                #expect(near.unsentBytes <= near.options.highWaterMark + piece.count)
                // What was accepted before is still on its way, the last piece too.
                near.endWriting()
                #expect(try await far.readToEnd().count == written + piece.count)
                near.close()
                far.close()
            }
        }
    }

    /// Nothing tells of a peer that lost its power or its cable: only time does.
    @Test("a half-open peer", arguments: TransportKind.allCases)
    func readsFromAPeerThatIsSilentTimeOutAndLeaveNothing(over kind: TransportKind) async throws {
        try await withLoop { loop in
            try await expectNoGrowth(on: loop) {
                let (near, far) = try await kind.pair(on: loop)
                for reading in StreamFailureTests.readKinds {
                    let error = await failure {
                        try await withTimeout(.milliseconds(2)) {
                            try await StreamFailureTests.read(reading, near)
                        }
                    }
                    #expect(error is TimeoutError)
                }
                near.abort()
                far.abort()
            }
        }
    }

    @Test(
        "a half-open peer: one that has ended its direction and reads no more",
        arguments: TransportKind.prompt)
    func closingToAPeerThatStaysSilentEndsAfterItsLimit(over kind: TransportKind) async throws {
        let bytes = [UInt8](repeating: 1, count: kind.surfeit)
        try await withVirtualLoop { loop in
            try await expectNoGrowth(on: loop) {
                let (near, far) = try await kind.pair(on: loop)
                far.endWriting()
                #expect(await streamFailure { try await near.read(upTo: 1) } == .endOfStream)
                try near.enqueue(bytes)
                let start = loop.now
                near.close()
                #expect(near.isWriting)
                try await near.closed()
                #expect(start.duration(to: loop.now) == near.options.closeTimeout)
                far.abort()
            }
        }
    }

    /// A byte a second, for ever.
    private func drip(_ stream: IOStream, _ bytes: [UInt8]) -> LoopFuture<Void> {
        stream.loop.async {
            for byte in bytes {
                try await stream.loop.sleep(for: .seconds(1))
                try await stream.write([byte])
            }
        }
    }

    @Test(
        "one byte a second",
        arguments: [TransportKind.memory, .tlsOverMemory, .tcp, .unix, .pipe, .tls])
    func aByteASecondIsALineInTheEndAndNoExcuseForATimeout(over kind: TransportKind) async throws {
        let line = [UInt8](repeating: 0x61, count: 299) + [0x0A]
        try await withVirtualLoop { loop in
            try await expectNoGrowth(on: loop) {
                let (near, far) = try await kind.pair(on: loop)
                let dripping = drip(far, line + line)
                let start = loop.now
                let error = await failure {
                    try await withTimeout(.seconds(60)) { try await near.read(until: "\n") }
                }
                #expect(error is TimeoutError)
                #expect(start.duration(to: loop.now) == .seconds(60))
                #expect(try await near.read(until: "\n") == line)
                #expect(start.duration(to: loop.now) == .seconds(300))
                #expect(try await near.read(exactly: 300) == line)
                try await dripping.value
                near.close()
                far.close()
            }
        }
    }

    @Test(
        "one byte a second", arguments: [TransportKind.memory, .tcp, .unix, .pipe], [true, false])
    func aHandshakeAtAByteASecondIsGivenUp(over kind: TransportKind, isServer: Bool) async throws {
        let (client, server) = (try clientContext(), try serverContext())
        try await withVirtualLoop { loop in
            try await expectNoGrowth(on: loop, times: 5) {
                let (near, far) = try await kind.pair(on: loop)
                // The head of a TLS record that would be long.
                let dripping = drip(far, [22, 3, 3, 63, 0] + [UInt8](repeating: 0, count: 60))
                let start = loop.now
                let error = await failure {
                    if isServer {
                        try await near.startTLS(server: server)
                    } else {
                        try await near.startTLS(client: client, host: "localhost")
                    }
                }
                #expect((error as? StreamError)?.tls != nil)
                #expect(start.duration(to: loop.now) <= .seconds(10))
                far.abort()
                _ = await failure { try await dripping.value }
                try await near.closed()
            }
        }
    }
}
