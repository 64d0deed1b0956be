import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Idle and total time-outs of connections, in virtual time.
@Suite struct ConnectionTimeoutTests {
    private func server(idle: Duration? = nil, total: Duration? = nil) -> TCPServer {
        TCPServer(
            port: 0,
            options: serverOptions {
                $0.idleTimeout = idle
                $0.totalTimeout = total
            })
    }

    @Test func anIdleConnectionIsClosedAndItsReadSaysWhy() async throws {
        try await withVirtualLoop { loop in
            let server = server(idle: .seconds(30))
            var error: StreamError?
            try server.listen { stream in
                error = await streamError { try await stream.read(upTo: 1) }
            }
            let start = loop.now
            let stream = try await connect(server)
            // An end, no reset.
            #expect(await streamFailure { try await stream.read(upTo: 1) } == .endOfStream)
            #expect(start.duration(to: loop.now) == .seconds(30))
            try await loop.turns(until: { server.connectionCount == 0 })
            #expect(error?.code == .closed)
            #expect((error?.cause as? TimeoutError)?.limit == .seconds(30))
            #expect(error?.message.contains("30.0 seconds") == true)
            #expect(server.counts.timedOut == 1 && server.counts.accepted == 1)
            stream.close()
        }
    }

    @Test func bytesInEitherDirectionKeepAConnectionOpen() async throws {
        try await withVirtualLoop { loop in
            let server = server(idle: .seconds(30))
            try server.listen { stream in
                // Three times bytes come, then three times bytes go.
                for _ in 0..<3 { _ = try await stream.read(exactly: 1) }
                for _ in 0..<3 {
                    try await loop.sleep(for: .seconds(20))
                    try await stream.write("x")
                }
                try await stream.closed()
            }
            let start = loop.now
            let stream = try await connect(server)
            for _ in 0..<3 {
                try await loop.sleep(for: .seconds(20))
                try await stream.write("x")
            }
            #expect(try await stream.readToEnd() == "xxx".bytes)
            // Thirty seconds after the last byte, neither earlier nor later.
            #expect(start.duration(to: loop.now) == .seconds(6 * 20 + 30))
            #expect(server.counts.timedOut == 1)
        }
    }

    @Test func readsLeaveTheOneTimerAlone() async throws {
        try await withVirtualLoop { loop in
            let server = server(idle: .seconds(30), total: .seconds(3_600))
            try server.listen { stream in try await echo(stream) }
            let before = loop.metrics.timeoutsPending
            let stream = try await connect(server)
            try await expectEcho(stream)
            let first = loop.metrics
            #expect(first.timeoutsPending == before + 1)
            for _ in 0..<100 { try await expectEcho(stream) }
            let later = loop.metrics
            #expect(later.timeoutsPending == before + 1 && later.timeouts == first.timeouts)
            // It looks once when thirty seconds are over, and not at each byte of them.
            for _ in 0..<29 {
                try await loop.sleep(for: .seconds(1))
                try await expectEcho(stream)
            }
            #expect(loop.metrics.timeouts == later.timeouts + 29)
            stream.close()
            try await loop.turns(until: { server.connectionCount == 0 })
            #expect(loop.metrics.timeoutsPending == before)
        }
    }

    @Test func aConnectionCostsNoTimerWithoutTimeouts() async throws {
        try await withVirtualLoop { loop in
            let server = server()
            try server.listen { stream in try await echo(stream) }
            let before = loop.metrics.timeoutsPending
            let stream = try await connect(server)
            try await expectEcho(stream)
            #expect(loop.metrics.timeoutsPending == before)
            try await loop.sleep(for: .seconds(86_400))
            try await expectEcho(stream)
            stream.close()
        }
    }

    @Test func aPeerThatReadsNothingIsIdleAndItsWriterIsTold() async throws {
        try await withVirtualLoop { loop in
            let server = server(idle: .seconds(30))
            var error: StreamError?
            let ended = Event()
            server.onClose = { _, _ in ended.set() }
            try server.listen { stream in
                let block = [UInt8](repeating: 1, count: 1 << 20)
                error = await streamError { while true { try await stream.write(block) } }
            }
            let start = loop.now
            let stream = try await connect(server)
            try await ended.wait()
            #expect(start.duration(to: loop.now) == .seconds(30))
            #expect(error?.code == .closed && error?.cause is TimeoutError)
            // What it gets in the end does not look complete.
            #expect(await streamFailure { try await stream.readToEnd() } == .closed)
        }
    }

    @Test func aBusyConnectionEndsAfterTheTotalTime() async throws {
        try await withVirtualLoop { loop in
            let server = server(idle: .seconds(30), total: .seconds(100))
            var error: StreamError?
            try server.listen { stream in
                error = await streamError { try await echo(stream) }
            }
            let start = loop.now
            let stream = try await connect(server)
            let talking = await failure {
                while true {
                    try await expectEcho(stream)
                    try await loop.sleep(for: .seconds(9))
                }
            }
            #expect(talking is StreamError)
            #expect(start.duration(to: loop.now) >= .seconds(100))
            #expect(start.duration(to: loop.now) < .seconds(110))
            #expect((error?.cause as? TimeoutError)?.limit == .seconds(100))
            #expect(error?.message.contains("lasted longer") == true)
            #expect(server.counts.timedOut == 1)
        }
    }

    @Test func aSlowClosingIsCutByTheTotalTimeToo() async throws {
        try await withVirtualLoop { loop in
            let server = TCPServer(
                port: 0,
                options: serverOptions {
                    $0.totalTimeout = .seconds(5)
                    $0.stream.closeTimeout = .seconds(3_600)
                })
            let ended = Event()
            server.onClose = { _, _ in ended.set() }
            try server.listen { stream in
                try stream.enqueue([UInt8](repeating: 1, count: 50 << 20))
            }
            let start = loop.now
            let stream = try await connect(server)
            try await ended.wait()
            #expect(start.duration(to: loop.now) == .seconds(5))
            stream.close()
        }
    }

    @Test(arguments: [false, true])
    func aHandlerThatWaitsForSomethingElseIsEndedWithItsConnection(isTotal: Bool) async throws {
        try await withVirtualLoop { loop in
            let server =
                isTotal ? server(total: .seconds(30)) : server(idle: .seconds(30))
            var error: (any Error)?
            var reason: (any Error)?
            let ended = Event()
            server.onClose = { _, error in
                reason = error
                ended.set()
            }
            try server.listen { stream in
                error = await failure { try await loop.sleep(for: .seconds(60)) }
                if let error { throw error }
            }
            let stream = try await connect(server)
            let start = loop.now
            #expect(await streamFailure { try await stream.read(upTo: 1) } == .endOfStream)
            try await ended.wait()
            #expect(start.duration(to: loop.now) == .seconds(30))
            try await loop.turns(until: { server.connectionCount == 0 })
            #expect(error is CancellationError && server.counts.timedOut == 1)
            // The hook gets the cause, not its consequence.
            #expect((reason as? StreamError)?.cause is TimeoutError)
        }
    }

    @Test func aHandlerThatOutlivesItsStreamIsEndedAfterTheTotalTime() async throws {
        try await withVirtualLoop { loop in
            let server = server(idle: .seconds(30), total: .seconds(100))
            var error: (any Error)?
            try server.listen { stream in
                stream.close()
                error = await failure { try await loop.sleep(for: .seconds(3_600)) }
            }
            let start = loop.now
            let stream = try await connect(server)
            try await loop.turns(until: { server.connectionCount == 1 })
            _ = try await stream.readToEnd()
            let ended = Event()
            server.connections.onRoom = { ended.set() }
            try await ended.wait()
            #expect(start.duration(to: loop.now) == .seconds(100))
            // Its connection was closed before, by itself.
            #expect(error is CancellationError && server.counts.timedOut == 0)
            stream.close()
        }
    }

    @Test func aConnectionThatOnlyWaitsForThePeersEndIsNotTimedOut() async throws {
        try await withVirtualLoop { loop in
            let server = server(idle: .milliseconds(500), total: .milliseconds(600))
            var reason: (any Error)?
            let ended = Event()
            server.onClose = { _, error in
                reason = error
                ended.set()
            }
            try server.listen { stream in
                try await loop.turns(until: { stream.bytesInKernel > 0 })
                try await stream.write("bye")
            }
            let start = loop.now
            let stream = try await connect(server)
            try await stream.write("unread")
            try await ended.wait()
            #expect(start.duration(to: loop.now) == .seconds(1))
            #expect(reason == nil && server.counts.timedOut == 0)
            #expect(try await stream.readToEnd() == "bye".bytes)
            stream.close()
        }
    }
}
