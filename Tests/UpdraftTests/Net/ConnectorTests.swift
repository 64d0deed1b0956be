import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// The plan on a loop's virtual clock, with attempts that the test ends: conformance list 3.4,
/// 12 and 15-30.
@Suite struct ConnectorTests {
    /// Attempts by the last number of their address.
    private final class Network {
        var open: [Int: (Result<Int, any Error>) -> Void] = [:]
        var dialled: [Int] = []
        var abandoned: [Int] = []
        var discarded: [Int] = []
        /// What attempts end with at once.
        var answers: [Int: Result<Int, any Error>] = [:]

        func connector(
            _ loop: IOLoop, _ hosts: [String], attemptLimit: Duration = .seconds(10)
        ) throws -> Connector<Int> {
            var limits = Connector<Int>.Limits()
            limits.attempt = attemptLimit
            return Connector(
                loop, try hosts.map { try SocketAddress(host: $0, port: 80) }, limits: limits,
                dial: { [unowned self] address, done in dial(address, done) },
                discard: { [unowned self] in discarded.append($0) })
        }

        private func dial(
            _ address: SocketAddress, _ done: @escaping (Result<Int, any Error>) -> Void
        ) -> () -> Void {
            let number = address.host.last?.wholeNumberValue ?? -1
            dialled.append(number)
            if let answer = answers[number] {
                done(answer)
            } else {
                open[number] = done
            }
            return { [unowned self] in abandoned.append(number) }
        }
    }

    private struct Refused: Error, Equatable {
        let number: Int
    }

    private static let mixed = ["127.0.0.1", "::2", "127.0.0.3", "::4"]

    @Test func theFirstAnswerWinsAndTheOtherAttemptIsAbandoned_15_29() async throws {
        try await withVirtualLoop { loop in
            let network = Network()
            let connector = try network.connector(loop, Self.mixed)
            let future = loop.async { try await connector.connect() }
            try await loop.sleep(for: .milliseconds(301))
            #expect(network.dialled == [1, 2])
            network.open[2]?(.success(2))
            let connection = try await future.value
            #expect(connection == 2)
            #expect(network.abandoned == [1])
        }
    }

    @Test func theOtherFamilyStartsAfterThePauseAndNotBefore_21() async throws {
        try await withVirtualLoop { loop in
            let network = Network()
            let connector = try network.connector(loop, Self.mixed)
            let future = loop.async { try await connector.connect() }
            try await loop.sleep(for: .milliseconds(299))
            #expect(network.dialled == [1])
            try await loop.sleep(for: .milliseconds(2))
            #expect(network.dialled == [1, 2])
            network.open[1]?(.success(1))
            let connection = try await future.value
            #expect(connection == 1)
        }
    }

    @Test func addressesThatFailAtOnceAreAllTriedAndTheLastErrorIsTold_18_23() async throws {
        try await withVirtualLoop { loop in
            let network = Network()
            for number in 1...4 { network.answers[number] = .failure(Refused(number: number)) }
            let connector = try network.connector(loop, Self.mixed)
            let connection = try await connector.connect()
            #expect(connection == nil)
            #expect(network.dialled == [1, 3, 2, 4])
            #expect(connector.lastError as? Refused == Refused(number: 4))
        }
    }

    @Test func anAnswerAtOnceNeedsNoOtherAttempt_15() async throws {
        try await withVirtualLoop { loop in
            let network = Network()
            network.answers[1] = .success(1)
            let connector = try network.connector(loop, Self.mixed)
            let connection = try await connector.connect()
            #expect(connection == 1)
            #expect(network.dialled == [1])
        }
    }

    @Test func aConnectionThatComesTooLateIsDiscarded_22() async throws {
        try await withVirtualLoop { loop in
            let network = Network()
            let connector = try network.connector(loop, Self.mixed)
            let future = loop.async { try await connector.connect() }
            try await loop.sleep(for: .seconds(1))
            network.open[1]?(.success(1))
            let connection = try await future.value
            #expect(connection == 1)
            network.open[2]?(.success(2))
            #expect(network.discarded == [2])
        }
    }

    @Test func theOverallTimeoutAbandonsEveryAttempt_24_28() async throws {
        try await withVirtualLoop { loop in
            let network = Network()
            let connector = try network.connector(loop, Self.mixed)
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.seconds(1)) { _ = try await connector.connect() }
            }
            #expect(network.dialled == [1, 2])
            #expect(network.abandoned.sorted() == [1, 2])
            network.open[1]?(.failure(Refused(number: 1)))
            #expect(network.dialled == [1, 2])
        }
    }

    /// Conformance 3.4.26.
    @Test func theOverallTimeoutDuringTheSecondTryEndsIt_26() async throws {
        try await withVirtualLoop { loop in
            let network = Network()
            let connector = try network.connector(
                loop, ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
            loop.callLater(.milliseconds(100)) {
                network.open[1]?(.failure(Refused(number: 1)))
            }
            let start = loop.now
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.seconds(1)) { _ = try await connector.connect() }
            }
            #expect(start.duration(to: loop.now) == .seconds(1))
            // The first had ended by itself, and the third was never begun.
            #expect(network.dialled == [1, 2])
            #expect(network.abandoned == [2])
            network.open[2]?(.success(2))
            #expect(network.discarded == [2])
            try await loop.sleep(for: .seconds(30))
            #expect(network.dialled == [1, 2])
        }
    }

    @Test func anOverallTimeoutBeforeThePausePreventsTheOtherFamily_30() async throws {
        try await withVirtualLoop { loop in
            let network = Network()
            let connector = try network.connector(loop, Self.mixed)
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.milliseconds(100)) { _ = try await connector.connect() }
            }
            try await loop.sleep(for: .seconds(1))
            #expect(network.dialled == [1])
        }
    }

    @Test func aConnectionMadeBeforeTheTimeoutStaysOpen_25() async throws {
        try await withVirtualLoop { loop in
            let network = Network()
            let connector = try network.connector(loop, Self.mixed)
            loop.callLater(.milliseconds(50)) { network.open[1]?(.success(1)) }
            let connection = try await withTimeout(.seconds(1)) { try await connector.connect() }
            #expect(connection == 1)
            try await loop.sleep(for: .seconds(2))
            #expect(network.discarded.isEmpty && network.abandoned.isEmpty)
        }
    }

    @Test func aFailureBeforeTheTimeoutIsToldAsItIs_27() async throws {
        try await withVirtualLoop { loop in
            let network = Network()
            let connector = try network.connector(loop, ["127.0.0.1", "127.0.0.2"])
            loop.callLater(.milliseconds(10)) {
                network.open[1]?(.failure(Refused(number: 1)))
            }
            loop.callLater(.milliseconds(20)) {
                network.open[2]?(.failure(Refused(number: 2)))
            }
            let connection = try await withTimeout(.seconds(1)) { try await connector.connect() }
            #expect(connection == nil)
            #expect(connector.lastError as? Refused == Refused(number: 2))
        }
    }

    @Test func anAttemptThatTakesTooLongMakesRoomForTheNext() async throws {
        try await withVirtualLoop { loop in
            let network = Network()
            let hosts = ["127.0.0.1", "127.0.0.2"]
            let connector = try network.connector(loop, hosts, attemptLimit: .seconds(3))
            let future = loop.async { try await connector.connect() }
            try await loop.sleep(for: .milliseconds(3_001))
            #expect(network.dialled == [1, 2])
            #expect(network.abandoned == [1])
            network.open[2]?(.success(2))
            let connection = try await future.value
            #expect(connection == 2)
        }
    }

    @Test func cancellingTheTaskAbandonsEveryAttempt() async throws {
        try await withVirtualLoop { loop in
            let network = Network()
            let connector = try network.connector(loop, Self.mixed)
            let future = loop.async { try await connector.connect() }
            try await loop.sleep(for: .seconds(1))
            future.cancel()
            #expect(await failure { try await future.value } is CancellationError)
            #expect(network.abandoned.sorted() == [1, 2])
        }
    }
}
