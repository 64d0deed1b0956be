import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Whom a report of a blocked turn names: contract row G2. See `StallDetectorTests`.
@Suite(.timeLimit(.minutes(2))) struct StallNameTests {
    /// A server that answers each byte, and blocks before that until somebody is told.
    private final class Blocker {
        enum Moment { case afterRead, afterSleep }

        let server = TCPServer(port: 0)
        var isReported: () -> Bool = { true }
        private(set) var peer = ""

        init(_ moment: Moment) throws {
            try server.listen { [self] stream in
                peer = stream.peerAddress.map { "\($0)" } ?? ""
                for try await _ in stream.chunks {
                    if case .afterSleep = moment {
                        try await stream.loop.sleep(for: .milliseconds(1))
                    }
                    spin(until: isReported)
                    try await stream.write([1])
                }
            }
        }

        nonisolated(nonsending) func block(
            _ client: IOStream, until isReported: @escaping () -> Bool
        ) async throws {
            self.isReported = isReported
            try await client.write([1])
            _ = try await client.read(exactly: 1)
        }
    }

    @Test(.interruptsSpinning, arguments: [true, false])
    func aHandlerThatBlocksAfterAReadIsNamedByItsPeer_G2(isConnectedBefore: Bool) async throws {
        let lines = LogLines()
        try await withLoop { loop in
            loop.logger = lines.logger
            let blocker = try Blocker(.afterRead)
            if !isConnectedBefore { loop.setBlockingLogThreshold(.milliseconds(20)) }
            let port = blocker.server.port
            let client = try await TCPClient.connect(host: "127.0.0.1", port: port)
            try await blocker.block(client) { true }
            if isConnectedBefore { loop.setBlockingLogThreshold(.milliseconds(20)) }
            let texts = [
                "spin(", " in what waited for descriptor ", ", connection from 127.0.0.1:",
            ]
            let peer = [blocker.peer + "\n"]
            try await loop.blockTurns(untilReportedIn: lines, with: texts + peer) {
                try await blocker.block(client, until: $0)
            }
            client.close()
        }
    }

    @Test(.interruptsSpinning)
    func aHandlerThatBlocksAfterASleepIsNamedByItsPeer_G2() async throws {
        let turns = LogLines()
        try await withLoop { loop in
            loop.setBlockingSignalThreshold(.milliseconds(20)) { turn in
                #expect(turn.taskName == nil)
                let peer = turn.peerAddress.map { "\($0)" } ?? "nobody"
                turns.add("\(turn) peer \(peer)")
            }
            let blocker = try Blocker(.afterSleep)
            let port = blocker.server.port
            let client = try await TCPClient.connect(host: "127.0.0.1", port: port)
            try await blocker.block(client) { true }
            let texts = [
                "spin(", " in a timeout, connection from \(blocker.peer)\n", "peer \(blocker.peer)",
            ]
            try await loop.blockTurns(untilReportedIn: turns, with: texts) {
                try await blocker.block(client, until: $0)
            }
            client.close()
        }
    }

    @Test(.interruptsSpinning)
    func aHandlerOfADescriptorIsNamedByTheOtherEndOfItsSocket_G2() async throws {
        let lines = LogLines()
        try await withLoop { loop in
            loop.logger = lines.logger
            loop.setBlockingLogThreshold(.milliseconds(20))
            let (near, far) = try await connectedPair(on: loop)
            let peer = try #require(near.peerAddress)
            let number = try near.detach().release()
            let texts = ["spin(", " descriptor \(number), socket to \(peer)\n"]
            try await loop.blockTurns(untilReportedIn: lines, with: texts) { isReported in
                try loop.addHandler(number, events: .read) { descriptor, _ in
                    loop.removeHandler(descriptor)
                    spin(until: isReported)
                }
                try await far.write([1])
                try await loop.turns(3)
            }
            far.abort()
            close(number)
        }
    }

    @Test func behindAProxyTheNameIsTheClients_G2() async throws {
        try await withLoop { loop in
            loop.setBlockingLogThreshold(.seconds(3_600))
            var options = TCPServer.Options()
            options.proxyProtocol = ProxyProtocol(peers: [try AddressRange("127.0.0.1")])
            let server = TCPServer(port: 0, options: options)
            let names = loop.executor.taskNames
            var name: TaskName?
            try server.listen { stream in
                name = names.name(of: runningTask, asOf: .max)
                try await stream.closed()
            }
            let client = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            try await client.write("PROXY TCP4 192.0.2.7 127.0.0.1 4000 5\r\n")
            try await loop.turns { name != nil }
            #expect(name?.description == "connection from 192.0.2.7:4000")
            client.close()
        }
    }

    @Test func namesAreKeptOnlyWhileTheLoopIsWatched_G2() async throws {
        try await withLoop { loop in
            let names = loop.executor.taskNames
            let (near, far) = try await connectedPair(on: loop)
            let sleeper = loop.spawn(name: "sleeper") { try await loop.sleep(for: .seconds(60)) }
            try await loop.turns(2)
            #expect(names.count == 0)
            loop.setBlockingLogThreshold(.seconds(3_600))
            let before = names.count
            #expect(before >= 2)
            loop.setBlockingSignalThreshold(.seconds(3_600)) { _ in }
            #expect(names.count == before)
            // What begins while it is watched has its name until it ends.
            var name: TaskName?
            await loop.spawn(name: "watched") { name = names.name(of: runningTask, asOf: .max) }
                .value
            #expect(name?.description == "task 'watched'")
            #expect(names.count == before)
            sleeper.cancel()
            await sleeper.value
            #expect(names.count == before - 1)
            loop.setBlockingLogThreshold(nil)
            #expect(names.count == before - 1)
            loop.setBlockingSignalThreshold(nil)
            #expect(names.count == 0)
            loop.spawn(name: "later") {}
            try await loop.turns(2)
            #expect(names.count == 0)
            near.abort()
            far.abort()
        }
    }

    @Test func aTaskAtTheAddressOfOneThatHasEndedIsNotTakenForIt_G2() async throws {
        try await withLoop { loop in
            loop.setBlockingLogThreshold(.seconds(3_600))
            let names = loop.executor.taskNames
            let task = runningTask
            names.add(.given("first"), for: CurrentTask.identity)
            let sample = try #require(
                StackSample.take(
                    of: StackSample.thisThread, in: loop.pulse, turn: loop.pulse.busySince))
            #expect(sample.task == task)
            #expect(names.name(of: task, asOf: sample.names)?.description == "task 'first'")
            names.remove(CurrentTask.identity)
            names.add(.given("second"), for: CurrentTask.identity)
            #expect(names.name(of: task, asOf: sample.names) == nil)
            names.remove(CurrentTask.identity)
        }
    }

    @Test func workInsideOtherWorkHasTheInnerName_G2() async throws {
        try await withLoop { loop in
            func name() -> String? {
                let thread = StackSample.thisThread
                return StackSample.take(of: thread, in: loop.pulse, turn: loop.pulse.busySince)?
                    .work
            }
            loop.setBlockingLogThreshold(.seconds(3_600))
            #expect(name() == nil)
            let (outer, inner) = (WorkName("outer"), WorkName(String(repeating: "i", count: 500)))
            let around = loop.beginWork(outer)
            #expect(name() == "outer")
            let aroundInner = loop.beginWork(inner)
            #expect(name() == String(repeating: "i", count: 127))
            loop.endWork(inner, aroundInner)
            #expect(name() == "outer")
            loop.endWork(outer, around)
            #expect(name() == nil)
        }
    }
}

/// The running task as the monitor thread knows it.
private var runningTask: UInt64 {
    UInt64(UInt(bitPattern: CurrentTask.identity?.address))
}
