import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// What a server that pauses keeps, and how it goes on: contract rows K4 and K8.
@Suite struct AcceptPauseTests {
    /// Why a server pauses.
    enum Pause: CaseIterable {
        case full, exhausted
    }

    /// Refuses to watch a descriptor again so many times.
    private static func refuse(
        _ poller: RecordingPoller, _ descriptor: Int32, with error: Int32, times: Int
    ) {
        var left = times
        poller.onAdd = { added in
            guard added == descriptor, left > 0 else { return }
            left -= 1
            throw SystemError(errno: error, operation: "watch descriptor \(added)")
        }
    }

    private static func server(_ listening: [ListenAddress], connectionsMax: Int) -> TCPServer {
        let options = serverOptions {
            $0.connectionsMax = connectionsMax
            $0.exhaustionPause = .milliseconds(50)
        }
        return TCPServer(listeningOn: listening, options: options)
    }

    /// Lets the next accepts of a server's first listener fail.
    private static func fail(_ server: TCPServer, _ error: Int32, times: Int) {
        var left = times
        server.listeners[0].fault = {
            guard left > 0 else { return nil }
            left -= 1
            return -error
        }
    }

    private nonisolated(nonsending) static func withRefusals(
        _ body:
            nonisolated(nonsending) @escaping @Sendable (IOLoop, RecordingPoller) async throws
            -> Void
    ) async throws {
        try await withLoop(
            making: {
                let (clock, poller) = (ManualClock(), try RecordingPoller())
                let virtual = try VirtualPoller(clock: clock, base: poller)
                let loop = try IOLoop(poller: virtual, clock: clock)
                loop.attachments[ObjectIdentifier(RecordingPoller.self)] = poller
                return loop
            }
        ) { loop in
            let poller = loop.attachments[ObjectIdentifier(RecordingPoller.self)]
            try await body(loop, try #require(poller as? RecordingPoller))
        }
    }

    @Test(arguments: Pause.allCases, [ENOMEM, ENOSPC])
    func aListenerThatCanNotBeWatchedAgainRestsAndOpenConnectionsGoOn_K8(
        pause: Pause, error: Int32
    ) async throws {
        try await Self.withRefusals { loop, poller in
            let lines = LogLines()
            let server = Self.server([.tcp(port: 0)], connectionsMax: pause == .full ? 2 : 100)
            server.logger = lines.logger
            try server.listen { stream in try await echo(stream) }
            let (keeper, leaver) = (try await connect(server), try await connect(server))
            try await expectEcho(keeper)
            try await expectEcho(leaver)
            Self.refuse(poller, server.listeners[0].socket.descriptor, with: error, times: 3)
            // The one that is shed fails too, so that whoever waits goes on waiting.
            if pause == .exhausted { Self.fail(server, EMFILE, times: 2) }
            let start = loop.now
            let waiting = try await connect(server)
            leaver.close()
            try await expectEcho(keeper)
            try await expectEcho(waiting)
            let rests: Duration = pause == .full ? .milliseconds(150) : .milliseconds(200)
            #expect(start.duration(to: loop.now) == rests)
            try await expectEcho(keeper)
            #expect(server.counts.accepted == 3 && server.counts.shed == 0)
            #expect(lines.with("warning", "for now").count == 1)
            keeper.close()
            waiting.close()
        }
    }

    @Test(arguments: Pause.allCases)
    func aServerThatPausesKeepsItsSocket_K4(pause: Pause) async throws {
        try await withVirtualLoop { loop in
            let socket = try ListeningSocket.bind(to: .tcp(port: 0))[0]
            let first = Self.server([], connectionsMax: pause == .full ? 1 : 100)
            try first.addSocket(socket)
            if pause == .exhausted { Self.fail(first, EMFILE, times: 2) }
            try first.listen { stream in try await echo(stream) }
            let keeper = try await connect(first)
            if pause == .full { try await expectEcho(keeper) }
            let waiting = try await connect(first)
            try await loop.turns(3)
            #expect(loop.dump().contains("accepts nothing for now"))
            let second = TCPServer(listeningOn: [])
            try second.addSocket(socket)
            let error = await streamError { try await second.serve { _ in } }
            #expect(error?.code == .cannotListen)
            #expect(error?.message.contains("nother server of this loop") == true)
            if pause == .exhausted { try await expectEcho(keeper) }
            keeper.close()
            try await expectEcho(waiting)
            #expect(first.counts.accepted == 2)
            waiting.close()
        }
    }

    @Test func aListenerThatRestsKeepsItsSocket_K4() async throws {
        try await withVirtualLoop { loop in
            let socket = try ListeningSocket.bind(to: .tcp(port: 0))[0]
            let first = Self.server([], connectionsMax: 100)
            try first.addSocket(socket)
            Self.fail(first, EIO, times: 1)
            try first.listen { stream in try await echo(stream) }
            let waiting = try await connect(first)
            try await loop.turns(3)
            let second = TCPServer(listeningOn: [])
            try second.addSocket(socket)
            #expect(await streamFailure { try await second.serve { _ in } } == .cannotListen)
            try await expectEcho(waiting)
            waiting.close()
        }
    }

    @Test func aServerThatPausesIsRefusedAnothersSocketAtOnce_K4() async throws {
        try await withVirtualLoop { loop in
            let socket = try ListeningSocket.bind(to: .tcp(port: 0))[0]
            let owner = TCPServer(listeningOn: [])
            try owner.addSocket(socket)
            try owner.listen { stream in try await echo(stream) }
            let full = Self.server([.tcp(port: 0)], connectionsMax: 2)
            try full.listen { stream in try await echo(stream) }
            let keepers = [try await connect(full), try await connect(full)]
            for keeper in keepers { try await expectEcho(keeper) }
            let waiting = try await connect(full)
            try await loop.turns(3)
            #expect(await streamFailure { try full.addSocket(socket) } == .cannotListen)
            // One that is free is taken, and served after the pause.
            let late = try full.bind(to: .tcp(port: 0))[0]
            let client = try await TCPClient.connect(to: late)
            for keeper in keepers { keeper.close() }
            try await expectEcho(waiting)
            try await expectEcho(client)
            for stream in [waiting, client] { stream.close() }
            try await expectEcho(try await connect(owner))
        }
    }
}
