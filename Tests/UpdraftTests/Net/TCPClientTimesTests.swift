import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// The times that a client keeps to, in virtual time over sockets that are never told to be
/// connected: contract row K10.
@Suite struct TCPClientTimesTests {
    /// Does not tell of descriptors that are watched for writing alone: sockets on their way to be
    /// connected.
    private final class DeafPoller: Poller {
        let name = "deaf"
        private let base: any Poller
        private var unheard: Set<Int32> = []
        var needsRearm: Bool { base.needsRearm }

        init() throws { base = try PollerKind.chosen.make() }

        func add(_ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64) throws {
            if events.contains(.write), !events.contains(.read) {
                unheard.insert(descriptor)
            } else {
                try base.add(descriptor, events: events, mode: mode, token: token)
            }
        }
        func modify(_ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64) throws {
            try base.modify(descriptor, events: events, mode: mode, token: token)
        }
        func remove(_ descriptor: Int32) throws {
            if unheard.remove(descriptor) == nil { try base.remove(descriptor) }
        }
        func rearm(_ descriptor: Int32, events: IOEvents) {
            base.rearm(descriptor, events: events)
        }
        func wait(
            timeoutNanoseconds: Int64, into events: UnsafeMutableBufferPointer<PollEvent>
        ) throws -> Int {
            try base.wait(timeoutNanoseconds: timeoutNanoseconds, into: events)
        }
        func close() { base.close() }
    }

    /// Gives the same addresses for every name.
    private final class Book: Resolver {
        let addresses: [SocketAddress]
        init(_ addresses: [SocketAddress]) { self.addresses = addresses }

        nonisolated(nonsending) func resolve(
            _ host: String, port: Int, family: AddressFamily
        ) async throws -> [SocketAddress] { addresses }
    }

    /// Connects in vain.
    ///
    /// - Returns: After how long it gave up, and with what.
    private func giveUp(
        _ addresses: [SocketAddress], _ timeout: Duration?,
        _ change: @escaping @Sendable (inout TCPClient.Options) -> Void
    ) async throws -> (after: Duration, error: any Error) {
        let (after, error) = try await withLoop(
            making: {
                let clock = ManualClock()
                let poller = try VirtualPoller(clock: clock, base: DeafPoller())
                return try IOLoop(poller: poller, clock: clock)
            }
        ) { loop -> (Duration, (any Error)?) in
            var options = TCPClient.Options()
            change(&options)
            let (start, book) = (loop.now, Book(addresses))
            let error = await failure {
                if let timeout {
                    return try await TCPClient.connect(
                        host: "far.example", port: 80, timeout: timeout, options: options,
                        resolver: book)
                }
                return try await TCPClient.connect(
                    host: "far.example", port: 80, options: options, resolver: book)
            }
            return (start.duration(to: loop.now), error)
        }
        return (after, try #require(error))
    }

    /// Sockets that listen; nil if the machine does not have the family.
    private func listener(_ host: String) -> ListeningSocket? {
        try? ListeningSocket.bind(host: host, port: 0).first
    }

    @Test func eachAddressHasTheTimeThatTheOptionsGiveIt_K10() async throws {
        let socket = try #require(listener("127.0.0.1"))
        defer { socket.close() }
        let addresses = [socket.localAddress, socket.localAddress]
        let usual = try await giveUp(addresses, .seconds(60)) { _ in }
        #expect(usual.after == .seconds(20))
        let cause = (usual.error as? StreamError)?.cause
        #expect((usual.error as? StreamError)?.code == .cannotConnect && cause is TimeoutError)
        let short = try await giveUp(addresses, .seconds(60)) { $0.attemptTimeout = .seconds(3) }
        #expect(short.after == .seconds(6))
    }

    @Test func theOtherFamilyJoinsInAfterThePauseOfTheOptions_K10() async throws {
        let first = try #require(listener("127.0.0.1"))
        guard let other = listener("::1") else {
            return print("no IPv6 on this machine: not tested")
        }
        defer {
            first.close()
            other.close()
        }
        // The second attempt begins with the pause's end, and is the last to be given up.
        let addresses = [first.localAddress, other.localAddress]
        let usual = try await giveUp(addresses, .seconds(60)) { _ in }
        #expect(usual.after == .milliseconds(10_300))
        let long = try await giveUp(addresses, .seconds(60)) { $0.familyPause = .seconds(2) }
        #expect(long.after == .seconds(12))
    }

    @Test func theWholeHasTwentySecondsUnlessItIsGivenOthers_K10() async throws {
        let socket = try #require(listener("127.0.0.1"))
        defer { socket.close() }
        let cases: [(Duration?, Duration)] = [(nil, .seconds(20)), (.seconds(5), .seconds(5))]
        for (timeout, expected) in cases {
            let end = try await giveUp([socket.localAddress], timeout) {
                $0.attemptTimeout = .seconds(60)
            }
            #expect(end.after == expected)
            #expect(end.error is TimeoutError)
        }
    }
}
