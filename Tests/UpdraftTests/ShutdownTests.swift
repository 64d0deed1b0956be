import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// The states of a shutdown, in virtual time: contract rows P1-P3, "gaps".
@Suite struct ShutdownTests {
    @Test func theStepsComeInTheirOrder_P2() async throws {
        try await withVirtualLoop { loop in
            let journal = Journal(loop)
            let server = FakeServer(loop, inFlight: 1)
            server.note = { journal.add($0) }
            loop.onStop("first") {
                journal.add("first hook")
                loop.addCallback { journal.add("callback") }
            }
            loop.onStop("last") {
                try await loop.sleep(for: .seconds(1))
                journal.add("last hook")
            }
            try await loop.finishing {
                loop.callLater(.seconds(2)) { server.end() }
                loop.shutDown(within: .seconds(8))
                #expect(loop.isShuttingDown)
                try await loop.serve(until: .requested)
                journal.add("body ends")
            }
            #expect(
                journal.lines == [
                    "drain at 0.0 seconds", "ended at 2.0 seconds", "body ends at 2.0 seconds",
                    "last hook at 3.0 seconds", "first hook at 3.0 seconds",
                    "callback at 3.0 seconds",
                ])
        }
    }

    @Test func itEndsAsSoonAsNothingIsInFlight_gaps() async throws {
        try await withVirtualLoop { loop in
            let journal = Journal(loop)
            let server = FakeServer(loop, inFlight: 2)
            loop.callLater(.seconds(1)) { server.end() }
            loop.callLater(.seconds(90)) { server.end() }
            loop.shutDown(within: .seconds(3_600))
            let report = try await loop.serve(until: .requested)
            #expect(report.isClean && journal.elapsed == .seconds(90))
            #expect(server.events == ["drain", "ended"])
        }
    }

    @Test func nothingInFlightTakesNoTime_gaps() async throws {
        try await withVirtualLoop { loop in
            let journal = Journal(loop)
            _ = FakeServer(loop, inFlight: 0)
            loop.shutDown()
            try await loop.serve(until: .requested)
            #expect(journal.elapsed == .zero)
        }
    }

    @Test func atTheDeadlineWhatIsLeftIsCutAndRunThrows_P2() async throws {
        try await withVirtualLoop { loop in
            let journal = Journal(loop)
            let server = FakeServer(loop, inFlight: 3)
            let error =
                await loop.failureOfFinishing {
                    loop.shutDown(within: .seconds(5))
                    let report = try await loop.serve(until: .requested)
                    #expect(report.cutConnections == 3 && !report.isClean)
                } as? ShutdownError
            #expect(journal.elapsed == .seconds(5))
            #expect(server.events == ["drain", "cut"])
            #expect(error?.code == .connectionsCut)
            #expect(error?.report.cutConnections == 3)
            #expect(error?.message.contains("3 connections were cut") == true)
        }
    }

    @Test func allServersStopUnderOneDeadline_gaps() async throws {
        try await withVirtualLoop { loop in
            let journal = Journal(loop)
            let quick = FakeServer(loop, inFlight: 1)
            let slow = FakeServer(loop, inFlight: 1)
            let stuck = FakeServer(loop, inFlight: 1)
            loop.callLater(.seconds(1)) { quick.end() }
            loop.callLater(.seconds(4)) { slow.end() }
            loop.shutDown(within: .seconds(5))
            for server in [quick, slow, stuck] { #expect(server.events == ["drain"]) }
            let report = try await loop.serve(until: .requested)
            #expect(report.cutConnections == 1 && journal.elapsed == .seconds(5))
            #expect(quick.events.last == "ended" && slow.events.last == "ended")
            #expect(stuck.events.last == "cut")
        }
    }

    @Test func oneThatBeginsToServeDuringTheDrainIsDrainedToo_gaps() async throws {
        try await withVirtualLoop { loop in
            let first = FakeServer(loop, inFlight: 1)
            loop.shutDown(within: .seconds(5))
            let second = FakeServer(loop, inFlight: 1)
            #expect(second.events == ["drain"])
            loop.callLater(.seconds(1)) { first.end() }
            loop.callLater(.seconds(2)) { second.end() }
            let report = try await loop.serve(until: .requested)
            #expect(report.isClean)
        }
    }

    @Test func askingAgainOnlyGivesMoreTime_P2() async throws {
        try await withVirtualLoop { loop in
            let journal = Journal(loop)
            _ = FakeServer(loop, inFlight: 1)
            let server = FakeServer(loop, inFlight: 1)
            loop.shutDown(within: .seconds(5))
            loop.callLater(.seconds(1)) { loop.shutDown(within: .seconds(1)) }
            loop.callLater(.seconds(2)) { loop.shutDown(within: .seconds(6)) }
            try await loop.serve(until: .requested)
            #expect(journal.elapsed == .seconds(8))
            #expect(server.events == ["drain", "cut"])
        }
    }

    @Test func anotherThreadMayAskForIt_P1() async throws {
        try await withLoop { loop in
            let remote = loop.remote
            let serving = loop.async { try await loop.serve(until: .requested) }
            try await onFreshThread { remote.shutDown(within: .seconds(1)) }
            let report = try await serving.value
            #expect(report.signal == nil && report.isClean)
        }
    }

    @Test func aServerThatBeginsAfterTheShutdownEndsAtOnce_gaps() async throws {
        try await withLoop { loop in
            let bound = TCPServer(port: 0)
            try bound.bind()
            loop.shutDown()
            try await loop.serve(until: .requested)
            try await bound.serve { _ in Issue.record("it serves") }
            let report = try await TCPServer(port: 0).serve(until: .signals([.sigusr2])) { _ in
                Issue.record("it serves")
            }
            #expect(report.isClean)
            try await loop.serve(until: .terminationSignals)
        }
    }

    // MARK: Log lines

    @Test func whatIsWaitedForIsLoggedEachSecondAndWhatIsCutByName_gaps() async throws {
        try await withVirtualLoop { loop in
            let lines = LogLines()
            loop.logger = lines.logger
            let server = FakeServer(loop, inFlight: 30)
            loop.callLater(.milliseconds(1_500)) { server.end(5) }
            loop.shutDown(within: .milliseconds(3_500))
            try await loop.serve(until: .requested)
            let shown = (0..<3).map { "connection \($0): waits for a time; " }.joined()
            let expected = [
                "info: stopping on request: 30 connections to drain within 3.5 seconds",
                "info: still waiting for 30 connections: \(shown)… and 27 more",
                "info: still waiting for 25 connections: \(shown)… and 22 more",
                "info: still waiting for 25 connections: \(shown)… and 22 more",
            ]
            #expect(Array(lines.all.prefix(4)) == expected)
            #expect(lines.with("cutting 25 connections").count == 1)
            #expect(lines.with("notice: cut: connection").count == 10)
            #expect(lines.all.last == "notice: cut: … and 15 more")
        }
    }

    @Test func aServersConnectionIsNamedWithItsPeerAndItsWait_gaps() async throws {
        try await withLoop { loop in
            let lines = LogLines()
            loop.logger = lines.logger
            let server = TCPServer(port: 0)
            try server.listen { stream in
                _ = try await stream.read(upTo: 1)
                try await withTimeout(.seconds(60)) { try await loop.sleep(for: .seconds(60)) }
            }
            let client = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            try await client.write("x")
            try await loop.turns { loop.dump().contains("withTimeout: waits for a time") }
            loop.shutDown(within: .milliseconds(20))
            let report = try await loop.serve(until: .requested)
            #expect(report.cutConnections == 1)
            let cut = lines.with("notice: cut: connection from 127.0.0.1:")
            #expect(cut.count == 1)
            #expect(cut.first?.hasSuffix("withTimeout: waits for a time") == true, "\(cut)")
            client.abort()
        }
    }

    @Test func thePeerOfACutConnectionSeesAReset_P2() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.bind()
            let serving = loop.async {
                try await server.serve(until: .requested) { stream in
                    _ = try await stream.read(upTo: 1)
                    try await loop.sleep(for: .seconds(60))
                }
            }
            let busy = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            let idle = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            try await busy.write("x")
            try await loop.turns { loop.dump().contains("waits for a time") }
            try await loop.turns { server.connectionCount == 2 }
            loop.shutDown(within: .milliseconds(20))
            #expect(await streamFailure { try await idle.read(upTo: 1) } == .endOfStream)
            #expect(await streamFailure { try await busy.read(upTo: 1) } == .closed)
            #expect(try await serving.value.cutConnections == 1)
            busy.abort()
            idle.close()
        }
    }

    @Test func twoServersAnswerWhatIsInFlightAndEndTogether_gaps() async throws {
        try await withLoop { loop in
            let servers = [TCPServer(port: 0), TCPServer(port: 0)]
            for server in servers {
                try server.listen { stream in
                    for try await line in stream.lines {
                        try await loop.sleep(for: .milliseconds(20))
                        try await stream.write(line)
                    }
                }
            }
            var clients: [IOStream] = []
            for server in servers {
                let client = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                try await client.write("work\n")
                clients.append(client)
            }
            try await loop.turns { servers.allSatisfy { $0.connectionCount == 1 } }
            let serving = loop.async {
                try await loop.serve(until: .signals([.sigusr2]), drain: .seconds(20)) {
                    raiseSignal(.sigusr2)
                }
            }
            for client in clients { #expect(try await client.readToEnd() == "work".bytes) }
            let report = try await serving.value
            #expect(report.signal == .sigusr2 && report.isClean)
            for client in clients { client.close() }
        }
    }

    @Test func cancellingTheCallerEndsTheWaitForASignal() async throws {
        try await withLoop { loop in
            let serving = loop.async { try await loop.serve(until: .terminationSignals) }
            try await loop.turns(3)
            serving.cancel()
            #expect(await failure { try await serving.value } is CancellationError)
            #expect(!loop.isShuttingDown)
        }
    }

    @Test func aClosedLoopIsShuttingDown() throws {
        let loop = try IOLoop()
        #expect(!loop.isShuttingDown)
        loop.close()
        #expect(loop.isShuttingDown)
    }
}
