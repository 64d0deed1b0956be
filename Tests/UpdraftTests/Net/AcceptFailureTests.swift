import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// What becomes of a server when accept(2) fails: contract row K8. For want of descriptors see
/// `ExhaustionTests`.
@Suite struct AcceptFailureTests {
    private func server(_ count: Int, _ lines: LogLines) throws -> TCPServer {
        let server = TCPServer(
            listeningOn: (0..<count).map { _ in .tcp(port: 0) },
            options: serverOptions { $0.exhaustionPause = .milliseconds(50) })
        server.logger = lines.logger
        try server.bind()
        return server
    }

    /// Answers an accept with an error so many times.
    private func fail(_ listener: Listener, _ error: Int32, times: Int) {
        var left = times
        listener.fault = {
            guard left > 0 else { return nil }
            left -= 1
            return -error
        }
    }

    private nonisolated(nonsending) func expectServed(_ address: SocketAddress) async throws {
        let stream = try await TCPClient.connect(to: address)
        try await expectEcho(stream)
        stream.close()
    }

    @Test(arguments: [
        ECONNABORTED, EPERM, EPROTO, ENOPROTOOPT, EOPNOTSUPP, ENETDOWN, ENETUNREACH, EHOSTDOWN,
        EHOSTUNREACH, ENONET,
    ])
    func anErrorOfOneConnectionIsNoneOfTheOthers_K8(error: Int32) async throws {
        try await withVirtualLoop { loop in
            let lines = LogLines()
            let server = try server(1, lines)
            let clients = try await connections(3, to: server)
            fail(server.listeners[0], error, times: 2)
            let start = loop.now
            try server.listen { stream in try await echo(stream) }
            for client in clients { try await expectEcho(client) }
            #expect(server.counts.accepted == 3 && server.counts.shed == 0)
            #expect(start == loop.now && lines.with("warning").isEmpty)
            for client in clients { client.close() }
        }
    }

    private nonisolated(nonsending) func connections(
        _ count: Int, to server: TCPServer
    ) async throws -> [IOStream] {
        var clients: [IOStream] = []
        for _ in 0..<count { clients.append(try await connect(server)) }
        return clients
    }

    @Test func failedConnectionsCountForTheBoundOfATurn_K8() async throws {
        try await withLoop { loop in
            loop.limits.acceptsMax = 4
            let lines = LogLines()
            let server = try server(1, lines)
            let client = try await connect(server)
            var turns: [UInt64: Int] = [:]
            server.listeners[0].fault = {
                turns[loop.turnNumber, default: 0] += 1
                return turns.values.reduce(0, +) > 20 ? nil : -EPROTO
            }
            try server.listen { stream in try await echo(stream) }
            try await expectEcho(client)
            #expect(turns.count >= 5 && turns.values.allSatisfy { $0 <= 5 })
            client.close()
        }
    }

    @Test(arguments: [EPERM, ECONNABORTED])
    func anErrorThatComesBackWithoutEndStopsItsListenerForAWhile_K8(error: Int32) async throws {
        try await withVirtualLoop { loop in
            loop.limits.acceptsMax = 4
            let lines = LogLines()
            let server = try server(2, lines)
            let (ill, well) = (server.localAddresses[0], server.localAddresses[1])
            let waiting = try await TCPClient.connect(to: ill)
            // As a security module answers that lets nobody in, and takes nobody out of the line.
            fail(server.listeners[0], error, times: 12)
            let start = loop.now
            try server.listen { stream in try await echo(stream) }
            try await loop.nextTurn()
            for _ in 0..<3 { try await expectServed(well) }
            #expect(start == loop.now && server.counts.accepted == 3)
            try await expectEcho(waiting)
            #expect(start.duration(to: loop.now) == .milliseconds(150))
            #expect(server.counts.shed == 0 && server.counts.accepted == 4)
            #expect(lines.with("warning", "for now", "\(ill)").count == 1)
            waiting.close()
        }
    }

    @Test func aTurnThatAcceptsOneOfManyThatFailedIsNoReasonToRest_K8() async throws {
        try await withVirtualLoop { loop in
            loop.limits.acceptsMax = 4
            let lines = LogLines()
            let server = try server(1, lines)
            let clients = try await connections(3, to: server)
            var asked = 0
            server.listeners[0].fault = {
                asked += 1
                return asked % 4 == 0 ? nil : -ECONNABORTED
            }
            let start = loop.now
            try server.listen { stream in try await echo(stream) }
            for client in clients { try await expectEcho(client) }
            #expect(start == loop.now && lines.with("warning").isEmpty)
            server.stop()
            for client in clients { client.close() }
        }
    }

    @Test(arguments: [ENOBUFS, ENOMEM, EIO])
    func anotherErrorStopsItsListenerForAWhileAndNobodyIsSentAway_K8(error: Int32) async throws {
        try await withVirtualLoop { loop in
            let lines = LogLines()
            let server = try server(2, lines)
            let (ill, well) = (server.localAddresses[0], server.localAddresses[1])
            let waiting = try await TCPClient.connect(to: ill)
            fail(server.listeners[0], error, times: 3)
            let start = loop.now
            try server.listen { stream in try await echo(stream) }
            try await loop.nextTurn()
            for _ in 0..<3 { try await expectServed(well) }
            #expect(start == loop.now && server.counts.accepted == 3)
            let turn = loop.turnNumber
            try await expectEcho(waiting)
            #expect(start.duration(to: loop.now) == .milliseconds(150))
            #expect(loop.turnNumber - turn < 60)
            #expect(server.counts.shed == 0 && server.counts.accepted == 4)
            #expect(lines.with("warning", "for now", "\(ill)").count == 1)
            waiting.close()
        }
    }

    @Test func aListenerThatRestsIsLeftAloneByStopAndByAPause_K8() async throws {
        try await withVirtualLoop { loop in
            let lines = LogLines()
            let server = try server(1, lines)
            let before = loop.metrics.timeoutsPending
            let client = try await connect(server)
            fail(server.listeners[0], EIO, times: 1)
            try server.listen { stream in try await echo(stream) }
            try await loop.turns(until: { loop.metrics.timeoutsPending == before + 1 })
            server.stop()
            #expect(loop.metrics.timeoutsPending == before)
            try await loop.sleep(for: .seconds(1))
            #expect(server.counts.accepted == 0)
            client.close()
        }
    }

    @Test func aSocketThatWasShutDownIsGivenUpAndTheOthersGoOn_K8() async throws {
        try await withVirtualLoop { loop in
            let lines = LogLines()
            let server = try server(2, lines)
            let (lost, kept) = (server.localAddresses[0], server.localAddresses[1])
            let before = openChannels()
            try server.listen { stream in try await echo(stream) }
            try await expectServed(lost)
            // accept(2) says EINVAL from here on.
            #expect(shutdown(server.listeners[0].socket.descriptor, Int32(SHUT_RD)) == 0)
            try await loop.turns(until: { server.localAddresses == [kept] })
            #expect(lines.with("error", "no longer", "\(lost)").count == 1)
            try await expectServed(kept)
            try await loop.turns(until: { server.connectionCount == 0 })
            // The socket has gone; the spare one that has come is no channel.
            try await loop.turns(until: { openChannels() == before - 1 })
            #expect(server.counts.shed == 0)
        }
    }

    @Test(arguments: [EBADF, ENOTSOCK])
    func aDescriptorThatIsSomebodyElsesIsNotClosed_K8(error: Int32) async throws {
        try await withVirtualLoop { loop in
            let lines = LogLines()
            let server = try server(1, lines)
            let descriptor = server.listeners[0].socket.descriptor
            let client = try await connect(server)
            fail(server.listeners[0], error, times: 1)
            try server.listen { stream in try await echo(stream) }
            try await loop.turns(until: { server.localAddresses.isEmpty })
            #expect(lines.with("error", "no longer").count == 1)
            #expect(fcntl(descriptor, F_GETFD) >= 0)
            close(descriptor)
            server.stop()
            client.close()
        }
    }

    @Test func theSpareDescriptorNeedsNoFile_W5() async throws {
        var spare = SpareDescriptor()
        let next = dup(0)
        close(next)
        spare.reserve()
        var name = [CChar](repeating: 0, count: 256)
        #expect(readlink("/proc/self/fd/\(next)", &name, 255) > 0)
        #expect(name.starts(with: "anon_inode:".utf8CString.dropLast()))
        #expect(fcntl(next, F_GETFD) & FD_CLOEXEC != 0)
        let isGone = spare.release()
        #expect(isGone)
        #expect(fcntl(next, F_GETFD) < 0)
    }
}
