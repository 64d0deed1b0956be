import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// The hooks of a server: contract rows M3 and M4.
@Suite struct ServerHookTests {
    /// What has happened, in order.
    private final class Record {
        var events: [String] = []
        func add(_ event: String) { events.append(event) }
    }

    private func server(_ record: Record) -> TCPServer {
        let server = TCPServer(port: 0)
        server.onStart = { record.add("start") }
        server.onStop = { record.add("stop") }
        server.onConnect = { _ in record.add("connect") }
        server.onClose = { _, error in record.add("close \(error.map { "\($0)" } ?? "nil")") }
        return server
    }

    @Test("M3, M4: the order of the hooks")
    func theHooksRunInTheirOrder_M3_M4() async throws {
        try await withLoop { loop in
            let record = Record()
            let server = server(record)
            server.prepareStream = { _ in record.add("prepare") }
            try server.bind()
            let serving = loop.async {
                try await server.serve { stream in
                    record.add("handler")
                    #expect(!stream.isClosed)
                    _ = try await stream.read(upTo: 1)
                }
                record.add("served")
            }
            let stream = try await connect(server)
            try await loop.turns(until: { record.events.last == "handler" })
            server.stop()
            try await loop.waitUntilIdle()
            // The stop hook waits for the last connection.
            #expect(record.events == ["start", "prepare", "connect", "handler"])
            try await stream.write("x")
            try await serving.value
            #expect(record.events.suffix(3) == ["close nil", "stop", "served"])
            #expect(record.events.count == 7)
            stream.close()
        }
    }

    @Test("M4: the close hook gets the handler's error, or the stream's, and the peer")
    func theCloseHookGetsTheError_M4() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            var ends: [(port: Int?, isClosed: Bool, error: (any Error)?)] = []
            server.onClose = { stream, error in
                ends.append((stream.peerAddress?.port, stream.isClosed, error))
            }
            loop.onUnhandledError = { _, _ in }
            var count = 0
            try server.listen { stream in
                count += 1
                if count == 1 { throw Broken(number: 4) }
                // It does not notice that the connection fails.
                if count == 2 { return try await stream.closed() }
            }
            var ports: [Int?] = []
            for number in 1...3 {
                let stream = try await connect(server)
                try await stream.write("x")
                try await loop.turns(until: { count == number })
                if number == 2 { stream.abort() } else { _ = try? await stream.readToEnd() }
                try await loop.turns(until: { ends.count == number })
                ports.append(ends[number - 1].port)
                stream.close()
            }
            #expect(ends.allSatisfy { $0.isClosed } && ports.allSatisfy { $0 != nil })
            #expect(ends[0].error as? Broken == Broken(number: 4))
            #expect((ends[1].error as? StreamError)?.cause is SystemError)
            #expect(ends[2].error == nil)
        }
    }

    @Test func aStartHookThatThrowsEndsTheServing_M3() async throws {
        try await withLoop { loop in
            let record = Record()
            let server = server(record)
            server.onStart = { throw Broken(number: 1) }
            try server.bind()
            let error = await failure { try await server.serve { _ in } }
            #expect(error as? Broken == Broken(number: 1))
            // What has not begun does not end.
            #expect(record.events.isEmpty)
            #expect(await streamFailure { try await connect(server) } == .cannotConnect)
            _ = loop
        }
    }

    @Test func nobodyIsAcceptedBeforeTheStartHookHasEnded_M3() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            let opened = Event()
            server.onStart = { try await opened.wait() }
            try server.listen { stream in try await echo(stream) }
            let stream = try await connect(server)
            try await stream.write("x")
            try await loop.waitUntilIdle()
            #expect(server.counts.accepted == 0)
            opened.set()
            #expect(try await stream.read(exactly: 1) == "x".bytes)
            stream.close()
        }
    }

    @Test func aConnectHookThatThrowsEndsItsConnection_M4() async throws {
        try await withLoop { loop in
            let record = Record()
            loop.onUnhandledError = { error, place in record.add("\(place.prefix(26)) \(error)") }
            let server = server(record)
            server.onConnect = { _ in throw Broken(number: 2) }
            try server.listen { _ in record.add("handler") }
            let stream = try await connect(server)
            #expect(await streamFailure { try await stream.read(upTo: 1) } == .endOfStream)
            let error = "\(Broken(number: 2))"
            let report = "The handler of a connectio \(error)"
            try await loop.turns(until: { record.events.count == 3 })
            #expect(record.events == ["start", report, "close \(error)"])
        }
    }

    @Test func aConnectionThatIsNotReadyHasNoHooks_M4() async throws {
        try await withLoop { loop in
            let record = Record()
            loop.onUnhandledError = { _, _ in }
            let server = server(record)
            server.prepareStream = { _ in throw Broken() }
            try server.listen { _ in record.add("handler") }
            let stream = try await connect(server)
            #expect(await streamFailure { try await stream.read(upTo: 1) } == .endOfStream)
            try await loop.turns(until: { server.connectionCount == 0 })
            #expect(record.events == ["start"])
        }
    }

    @Test func aStopHookThatThrowsIsReportedAndServeReturns_M3() async throws {
        try await withLoop { loop in
            let record = Record()
            loop.onUnhandledError = { error, place in record.add("\(place): \(error)") }
            let server = server(record)
            server.onStop = { throw Broken(number: 3) }
            try server.bind()
            let serving = loop.async { try await server.serve { _ in } }
            try await loop.turns(3)
            server.stop()
            try await serving.value
            #expect(
                record.events == ["start", "The stop hook of a server: \(Broken(number: 3))"])
        }
    }

    @Test func aServerThatComesAfterTheShutdownHasNoHooks_M3() async throws {
        try await withLoop { loop in
            let record = Record()
            let server = server(record)
            loop.shutDown(within: .seconds(20))
            try await server.serve { _ in record.add("handler") }
            #expect(record.events.isEmpty)
        }
    }

    @Test func aShutdownWaitsForTheStopHook_M3() async throws {
        try await withLoop { loop in
            let record = Record()
            let server = server(record)
            server.onStop = {
                try await loop.sleep(for: .milliseconds(30))
                record.add("stop")
            }
            try server.listen { stream in try await echo(stream) }
            let stream = try await connect(server)
            try await expectEcho(stream)
            loop.shutDown(within: .seconds(20))
            let report = try await loop.serve(until: .requested)
            #expect(report.cutConnections == 0)
            #expect(record.events.last == "stop")
            stream.close()
        }
    }

    @Test func theStopHookRunsWhenServingIsCancelled_M3() async throws {
        try await withLoop { loop in
            let record = Record()
            let server = server(record)
            try server.bind()
            let serving = loop.async { try await server.serve { try await echo($0) } }
            let stream = try await connect(server)
            try await expectEcho(stream)
            serving.cancel()
            #expect(await failure { try await serving.value } is CancellationError)
            #expect(record.events.count == 4 && record.events.last == "stop")
            #expect(record.events[2].hasPrefix("close CancellationError"))
        }
    }

    @Test func theCloseHookOfAHandlerThatIsLeftBehindRunsBeforeTheStopHook_M3_M4() async throws {
        try await withLoop { loop in
            let record = Record()
            let server = server(record)
            var foreign: CheckedContinuation<Void, Never>?
            try server.bind()
            let serving = loop.async {
                try await server.serve { _ in
                    await withCheckedContinuation { foreign = $0 }
                }
            }
            let stream = try await connect(server)
            try await loop.turns(until: { foreign != nil })
            serving.cancel()
            #expect(await failure { try await serving.value } is CancellationError)
            let events = ["start", "connect", "close CancellationError()", "stop"]
            #expect(record.events == events)
            foreign?.resume()
            try await loop.turns(until: { server.connectionCount == 0 })
            #expect(record.events == events)
            stream.close()
        }
    }
}
