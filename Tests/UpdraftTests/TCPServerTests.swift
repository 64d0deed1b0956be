import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract rows K1-K8 and the draining of 1.P.
@Suite struct TCPServerTests {
    private nonisolated(nonsending) func connect(_ server: TCPServer) async throws -> IOStream {
        try await TCPClient.connect(host: "127.0.0.1", port: server.port)
    }

    private nonisolated(nonsending) func echo(_ stream: IOStream) async throws {
        for try await chunk in stream.chunks { try await stream.write(chunk) }
    }

    private nonisolated(nonsending) func expectEcho(_ stream: IOStream) async throws {
        try await stream.write("echo")
        #expect(try await stream.read(exactly: 4) == "echo".bytes)
    }

    @Test func servesManyConnectionsAtOnce_K1() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.listen { stream in try await echo(stream) }
            try await loop.group { group in
                for _ in 0..<200 {
                    group.spawn {
                        let stream = try await connect(server)
                        defer { stream.close() }
                        for _ in 0..<5 { try await expectEcho(stream) }
                    }
                }
            }
            try await loop.turns(until: { server.connectionCount == 0 })
        }
    }

    /// Conformance 3.3.1.
    @Test func aHandlersErrorEndsItsConnectionAlone_K5() async throws {
        try await withLoop { loop in
            let log = LogLines()
            loop.logger = log.logger
            let server = TCPServer(port: 0)
            server.logger = log.logger
            var served = 0
            try server.listen { stream in
                served += 1
                if served == 2 { throw Broken(number: 7) }
                try await echo(stream)
            }
            let first = try await connect(server)
            try await expectEcho(first)
            let second = try await connect(server)
            #expect(await streamFailure { try await second.read(upTo: 1) } == .endOfStream)
            try await expectEcho(first)
            try await expectEcho(try await connect(server))
            // By the hook that a loop has by default, and by nobody else.
            let told = log.with(
                "error: The handler of a connection from 127.0.0.1", "\(Broken(number: 7))")
            #expect(told.count == 1)
            #expect(log.all == told)
        }
    }

    private final class Shouter: TCPServer {
        override nonisolated(nonsending) func handleStream(_ stream: IOStream) async throws {
            try await stream.write("shout")
        }
    }

    @Test func aSubclassHandlesItsStreams_K5() async throws {
        try await withLoop { loop in
            let server = Shouter(port: 0)
            try server.bind()
            loop.spawn { try await server.serve() }
            #expect(try await connect(server).readToEnd() == "shout".bytes)
        }
    }

    /// Conformance 3.3.3.
    @Test func stopEndsAcceptingAndLeavesOpenConnections_K6() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.bind()
            let serving = loop.async { try await server.serve { try await echo($0) } }
            let stream = try await connect(server)
            try await expectEcho(stream)
            server.stop()
            server.stop()
            try await expectEcho(stream)
            let error = await failure { try await connect(server) }
            #expect((error as? StreamError)?.code == .cannotConnect)
            #expect(!serving.isDone)
            stream.close()
            try await serving.value
            // The port is free again.
            let next = TCPServer(port: server.port)
            try next.bind()
            next.stop()
        }
    }

    @Test func stopInsideAHandlerIsSafe_K6() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.bind()
            var clients: [IOStream] = []
            for _ in 0..<5 { clients.append(try await connect(server)) }
            var served = 0
            try await server.serve { stream in
                served += 1
                server.stop()
                try await stream.write("bye")
            }
            #expect(served >= 1)
            #expect(try await clients[0].readToEnd() == "bye".bytes)
        }
    }

    @Test func aServerThatWasStoppedDoesNotServe() async throws {
        try await withLoop { _ in
            let server = TCPServer(port: 0)
            try server.bind()
            server.stop()
            #expect(await streamFailure { try await server.serve { _ in } } == .cannotListen)
        }
    }

    @Test func aPortThatIsTakenIsAClearError() async throws {
        try await withLoop { loop in
            let first = TCPServer(port: 0)
            try first.bind()
            let second = TCPServer(port: first.port)
            let error = await failure { try second.bind() } as? StreamError
            #expect(error?.code == .cannotListen)
            #expect(error?.description.contains("\(first.port)") == true)
            #expect((error?.cause as? SystemError)?.isAddressInUse == true)
            #expect(await streamFailure { try await second.serve { _ in } } == .cannotListen)
            _ = loop
        }
    }

    @Test func anAddressThatIsNotOursIsAClearError() async throws {
        try await withLoop { _ in
            for host in ["192.0.2.1", "not an address"] {
                let server = TCPServer(host: host, port: 0)
                #expect(await streamFailure { try server.bind() } == .cannotListen)
            }
            #expect(await streamFailure { try TCPServer(port: 70_000).bind() } == .cannotListen)
        }
    }

    @Test func aThousandConnectionsThatAreResetAtOnceLeaveTheServerServing() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.listen { stream in try await echo(stream) }
            let keeper = try await connect(server)
            var streams: [IOStream] = []
            let half = min(500, PollerKind.chosen.connectionsMax)
            for _ in 0..<half { streams.append(try await connect(server)) }
            for stream in streams { stream.abort() }
            try await loop.group { group in
                for _ in 0..<half {
                    group.spawn { try await connect(server).abort() }
                }
            }
            try await expectEcho(keeper)
            try await expectEcho(try await connect(server))
            try await loop.turns(until: { server.connectionCount <= 2 })
        }
    }

    @Test func connectionsAboveTheLimitWaitForRoom() async throws {
        try await withLoop { loop in
            var options = TCPServer.Options()
            options.connectionsMax = 2
            let server = TCPServer(port: 0, options: options)
            try server.listen { stream in try await echo(stream) }
            var streams: [IOStream] = []
            for _ in 0..<3 { streams.append(try await connect(server)) }
            try await expectEcho(streams[0])
            try await expectEcho(streams[1])
            try await streams[2].write("x")
            let third = loop.async { try await streams[2].read(exactly: 1) }
            try await loop.turns(20)
            #expect(server.connectionCount == 2 && !third.isDone)
            streams[0].close()
            #expect(try await third.value == [120])
            #expect(server.connectionCount == 2)
        }
    }

    @Test func cancellingServeCutsItsConnections() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.bind()
            var ended = 0
            let serving = loop.async {
                try await server.serve { stream in
                    defer { ended += 1 }
                    try await echo(stream)
                }
            }
            let stream = try await connect(server)
            try await expectEcho(stream)
            serving.cancel()
            #expect(await failure { try await serving.value } is CancellationError)
            #expect(ended == 1)
            #expect(await streamFailure { try await stream.read(upTo: 1) } != nil)
        }
    }

    @Test func cancellingServeAfterStopIsCancellationToo() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.bind()
            let serving = loop.async { try await server.serve { try await echo($0) } }
            let stream = try await connect(server)
            try await expectEcho(stream)
            server.stop()
            try await loop.turns(3)
            serving.cancel()
            #expect(await failure { try await serving.value } is CancellationError)
            #expect(server.connectionCount == 0)
        }
    }

    // MARK: Draining

    @Test func idleConnectionsEndWhenTheServerDrains() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.bind()
            let serving = loop.async { try await server.serve { try await echo($0) } }
            var streams: [IOStream] = []
            for _ in 0..<3 {
                let stream = try await connect(server)
                try await expectEcho(stream)
                streams.append(stream)
            }
            #expect(await server.drain(.seconds(20)) == 0)
            try await serving.value
            for stream in streams {
                #expect(await streamFailure { try await stream.read(upTo: 1) } == .endOfStream)
            }
        }
    }

    @Test func busyConnectionsFinishWhenTheServerDrains() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.bind()
            let working = Event()
            let workDone = Event()
            let serving = loop.async {
                try await server.serve { stream in
                    for try await line in stream.lines {
                        working.set()
                        try await workDone.wait()
                        try await stream.write(line + [10])
                    }
                }
            }
            let stream = try await connect(server)
            try await stream.write("work\n")
            try await working.wait()
            let draining = loop.async { await server.drain(.seconds(20)) }
            try await loop.waitUntilIdle()
            #expect(!draining.isDone)
            workDone.set()
            #expect(try await draining.value == 0)
            try await serving.value
            #expect(try await stream.readToEnd() == "work\n".bytes)
        }
    }

    @Test func aConnectionInTheMiddleOfALineIsNotIdle() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.bind()
            let serving = loop.async {
                try await server.serve { stream in
                    for try await line in stream.lines { try await stream.write(line + [10]) }
                }
            }
            let stream = try await connect(server)
            try await stream.write("half")
            try await loop.turns(until: { server.connectionCount == 1 })
            try await loop.turns(5)
            let draining = loop.async { await server.drain(.seconds(20)) }
            try await loop.turns(10)
            #expect(!draining.isDone)
            try await stream.write(" and half\n")
            #expect(try await draining.value == 0)
            try await serving.value
            #expect(try await stream.readToEnd() == "half and half\n".bytes)
        }
    }

    @Test func theDeadlineCutsAndCountsWhatIsLeft() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.bind()
            var errors = 0
            let serving = loop.async {
                try await server.serve { stream in
                    _ = try await stream.read(upTo: 1)
                    do {
                        try await loop.sleep(for: .seconds(3_600))
                    } catch {
                        errors += 1
                    }
                }
            }
            var streams: [IOStream] = []
            for _ in 0..<3 {
                let stream = try await connect(server)
                try await stream.write("x")
                streams.append(stream)
            }
            try await loop.turns(until: { server.connectionCount == 3 })
            try await loop.turns(5)
            #expect(await server.drain(.milliseconds(20)) == 3)
            try await serving.value
            #expect(errors == 3)
            for stream in streams {
                #expect(await streamFailure { try await stream.readToEnd() } == .closed)
            }
        }
    }

    @Test func serveUntilASignalDrainsAndReports_P1() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.bind()
            let serving = loop.async {
                try await server.serve(until: .signals([.sigusr2]), drain: .seconds(20)) {
                    try await echo($0)
                }
            }
            let stream = try await connect(server)
            try await expectEcho(stream)
            raiseSignal(.sigusr2)
            let report = try await serving.value
            #expect(report.signal == .sigusr2 && report.cutConnections == 0)
            #expect(await streamFailure { try await stream.read(upTo: 1) } == .endOfStream)
        }
    }
}
