import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Contract rows K2-K4, K7, K8, and conformance lists 3.3 and 3.5.
@Suite struct ListenTests {
    @Test("K2: one server listens on several ports")
    func oneServerListensOnSeveralPorts_K2() async throws {
        try await withLoop { loop in
            let server = TCPServer(listeningOn: [.tcp(port: 0), .tcp(port: 0)])
            try server.listen { stream in try await echo(stream) }
            #expect(server.localAddresses.count == 2)
            #expect(server.port == server.localAddresses[0].port)
            for address in server.localAddresses {
                let stream = try await TCPClient.connect(to: address)
                try await expectEcho(stream)
                stream.close()
            }
            server.stop()
            for address in server.localAddresses {
                let code = await streamFailure { try await TCPClient.connect(to: address) }
                #expect(code == .cannotConnect)
            }
            _ = loop
        }
    }

    @Test("K2: an address that is added while the server serves is served at once")
    func anAddressMayBeAddedWhileTheServerServes_K2() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.listen { stream in try await echo(stream) }
            try await expectEcho(try await connect(server))
            let more = try server.bind(to: .tcp(port: 0))
            #expect(more.count == 1 && server.localAddresses.last == more[0])
            let stream = try await TCPClient.connect(to: more[0])
            try await expectEcho(stream)
            _ = loop
        }
    }

    @Test("K3: those who connect between bind and serve wait for the start")
    func whatIsBoundIsServedFromTheStartOn_K3() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.bind()
            let stream = try await connect(server)
            try await stream.write("echo")
            try await loop.waitUntilIdle()
            #expect(server.connectionCount == 0 && server.counts.accepted == 0)
            try server.listen { stream in try await echo(stream) }
            #expect(try await stream.read(exactly: 4) == "echo".bytes)
            #expect(server.counts.accepted == 1)
        }
    }

    private final class Shouter: TCPServer {
        override nonisolated(nonsending) func handleStream(_ stream: IOStream) async throws {
            try await stream.write("shout")
        }
    }

    @Test("3.3.2, 3.3.5: a subclass listens in a single process, with an async handleStream")
    func aSubclassListensInOneProcess_K2_K5() async throws {
        try await withLoop { loop in
            let server = Shouter(port: 0)
            try server.listen()
            #expect(try await connect(server).readToEnd() == "shout".bytes)
            _ = loop
        }
    }

    @Test("K5: the handleStream of the base says that it must be overridden")
    func theBaseHandlesNothing_K5() async throws {
        let result = await #expect(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            try await withLoop { _ in
                let server = TCPServer(port: 0)
                try server.listen()
                _ = try await connect(server).readToEnd()
            }
        }
        let output = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(output.contains("handleStream must be overridden by TCPServer"))
    }

    @Test("K4: sockets made elsewhere are served, given before or while serving")
    func socketsMadeElsewhereAreServed_K4() async throws {
        try await withLoop { loop in
            let first = try ListeningSocket.bind(host: "127.0.0.1", port: 0)
            let second = try ListeningSocket.bind(to: .tcp(port: 0))
            let server = TCPServer(listeningOn: [])
            try server.addSockets(first)
            try server.listen { stream in try await echo(stream) }
            try await expectEcho(try await connect(server))
            try server.addSocket(second[0])
            let stream = try await TCPClient.connect(to: second[0].localAddress)
            try await expectEcho(stream)
            // The same one again is a mistake.
            #expect(await streamFailure { try server.addSocket(second[0]) } == .cannotListen)
            server.stop()
            #expect(!first[0].isOpen && !second[0].isOpen)
            #expect(await streamFailure { try server.addSockets(first) } == .cannotListen)
            let other = TCPServer(listeningOn: [])
            #expect(await streamFailure { try other.addSockets(first) } == .cannotListen)
            _ = loop
        }
    }

    @Test("K4: a socket of two servers is closed by the one that stops last")
    func theLastServerToStopClosesASharedSocket_K4() async throws {
        try await withLoop { loop in
            let socket = try ListeningSocket.bind(to: .tcp(port: 0))[0]
            let first = TCPServer(listeningOn: [])
            let second = TCPServer(listeningOn: [])
            try first.addSocket(socket)
            try second.addSocket(socket)
            socket.close()
            #expect(socket.isOpen)
            try second.listen { stream in try await echo(stream) }
            // It accepts: the other one, which never did, must not take the socket from the loop.
            try await expectEcho(try await connect(second))
            first.stop()
            first.stop()
            #expect(socket.isOpen)
            try await expectEcho(try await connect(second))
            second.stop()
            #expect(!socket.isOpen)
            _ = loop
        }
    }

    @Test("K4: two servers of one loop can't accept from one socket, and the first one goes on")
    func aSecondServerOfTheLoopLeavesTheFirstItsSocket_K4() async throws {
        try await withLoop { loop in
            let socket = try ListeningSocket.bind(to: .tcp(port: 0))[0]
            let first = TCPServer(listeningOn: [])
            let second = TCPServer(listeningOn: [])
            try first.addSocket(socket)
            try second.addSocket(socket)
            try first.listen { stream in try await echo(stream) }
            try await expectEcho(try await connect(first))
            let error = await streamError { try await second.serve { _ in } }
            #expect(error?.code == .cannotListen)
            #expect(error?.message.contains("nother server of this loop") == true)
            try await expectEcho(try await connect(first))
            let third = TCPServer(port: 0)
            try third.listen { stream in try await echo(stream) }
            try await expectEcho(try await connect(third))
            #expect(await streamFailure { try third.addSocket(socket) } == .cannotListen)
            try await expectEcho(try await connect(first))
            #expect(third.localAddresses.count == 1)
            first.stop()
            #expect(!socket.isOpen)
            _ = loop
        }
    }

    @Test("K4: servers of several loops share the sockets that they are given")
    func serversOfSeveralLoopsShareSockets_K4() async throws {
        let sockets = try ListeningSocket.bind(host: "127.0.0.1", port: 0)
        let served = Counter()
        try await onFreshThread {
            let started = Counter()
            try IOLoop.run(loops: 2) { loop in
                let server = TCPServer(listeningOn: [])
                try server.addSockets(sockets)
                started.add()
                while started.value < 2 { try await loop.nextTurn() }
                try server.listen { stream in
                    served.add()
                    try await echo(stream)
                }
                if loop.name == "loop-0" {
                    for _ in 0..<20 {
                        let stream = try await connect(server)
                        try await expectEcho(stream)
                        stream.close()
                    }
                    loop.shutDown()
                }
                try await loop.serve(until: .requested)
            }
        }
        #expect(served.value == 20)
        #expect(!sockets[0].isOpen)
    }

    @Test("K4: a socket that no server has is closed once, with close or with the object")
    func aSocketIsClosedOnce_K4() async throws {
        try await withLoop { _ in
            let before = openChannels()
            var sockets = try ListeningSocket.bind(host: "127.0.0.1", port: 0)
            #expect(openChannels() == before + 1)
            sockets[0].close()
            #expect(openChannels() == before && !sockets[0].isOpen)
            // Whoever gets the number next keeps it.
            let next = dup(0)
            sockets[0].close()
            sockets = []
            #expect(fcntl(next, F_GETFD) >= 0)
            close(next)
            sockets = try ListeningSocket.bind(host: "127.0.0.1", port: 0)
            sockets = []
            #expect(openChannels() == before)
        }
    }

    @Test("3.5.6: port 0 is the same port for all addresses; IPv6 sockets take IPv6 alone")
    func portZeroIsOnePortForAllInterfaces_K7() async throws {
        try await withLoop { loop in
            let sockets = try ListeningSocket.bind(port: 0)
            let hosts = sockets.map(\.localAddress.host)
            let port = try #require(sockets[0].localAddress.port)
            #expect(port != 0 && sockets.allSatisfy { $0.localAddress.port == port })
            guard sockets.count == 2 else {
                #expect(hosts.count == 1)
                return print("one family alone on this machine: the other is not tested")
            }
            #expect(hosts == ["0.0.0.0", "::"])
            let server = TCPServer(listeningOn: [])
            try server.addSockets(sockets)
            try server.listen { stream in try await echo(stream) }
            for host in ["127.0.0.1", "::1"] {
                let stream = try await TCPClient.connect(host: host, port: port)
                try await expectEcho(stream)
                stream.close()
            }
            _ = loop
        }
    }

    @Test("K7: an empty host is all interfaces, and a family leaves the others out")
    func aHostAndAFamilyChooseTheAddresses_K7() async throws {
        try await withLoop { _ in
            let server = TCPServer(host: "", port: 0)
            try server.bind()
            #expect(server.localAddress?.host == "0.0.0.0")
            #expect(Set(server.localAddresses.map(\.port)).count == 1)
            server.stop()
            let ipv4 = try ListeningSocket.bind(port: 0, family: .ipv4)
            #expect(ipv4.map(\.localAddress.host) == ["0.0.0.0"])
            let wrong = await streamError {
                try ListeningSocket.bind(host: "127.0.0.1", port: 0, family: .ipv6)
            }
            #expect(wrong?.code == .cannotListen)
            for host in ["localhost", "nonsense", "127.0.0.1 "] {
                let error = await streamError { try ListeningSocket.bind(host: host, port: 0) }
                #expect(error?.description.contains("'\(host)'") == true)
            }
            let far = await streamError { try ListeningSocket.bind(port: 70_000) }
            #expect(far?.code == .cannotListen)
        }
    }

    @Test("K7: an address that the server has already is refused, also with reusePort")
    func anAddressTwiceIsRefused_K7() async throws {
        try await withLoop { _ in
            let server = TCPServer(port: 0, options: serverOptions { $0.reusePort = true })
            try server.bind()
            let again = ListenAddress.tcp(port: server.port)
            let error = await streamError { try server.bind(to: again) }
            #expect(error?.code == .cannotListen)
            #expect(error?.message.contains("already") == true)
            #expect(server.localAddresses.count == 1)
            server.stop()
        }
    }

    @Test("3.3.8, 3.5.7: with reusePort several servers listen on one port, without it none")
    func reusePortLetsSeveralServersListen_K7() async throws {
        try await withLoop { loop in
            let options = serverOptions { $0.reusePort = true }
            var servers = [TCPServer(port: 0, options: options)]
            try servers[0].listen { stream in try await echo(stream) }
            for _ in 0..<2 {
                let server = TCPServer(port: servers[0].port, options: options)
                try server.listen { stream in try await echo(stream) }
                servers.append(server)
            }
            for _ in 0..<10 { try await expectEcho(try await connect(servers[0])) }
            #expect(servers.reduce(0) { $0 + $1.counts.accepted } == 10)
            let stranger = TCPServer(port: servers[0].port)
            #expect(await streamFailure { try stranger.bind() } == .cannotListen)
            _ = loop
        }
    }

    @Test func aFailureLeavesNothingBound_K7() async throws {
        try await withLoop { _ in
            let taken = TCPServer(port: 0)
            try taken.bind()
            let before = openChannels()
            let server = TCPServer(listeningOn: [.tcp(port: 0), .tcp(port: taken.port)])
            #expect(await streamFailure { try server.bind() } == .cannotListen)
            #expect(openChannels() == before && server.localAddresses.isEmpty)
            taken.stop()
            try server.bind()
            #expect(server.localAddresses.count == 2)
            server.stop()
        }
    }

    @Test func whatHasBeenBoundIsTakenBackWhenALaterAddressFails_K7() async throws {
        try await withLoop { _ in
            let folder = SocketFolder()
            let taken = TCPServer(port: 0)
            try taken.bind()
            let before = openChannels()
            let server = TCPServer(listeningOn: [.unix(folder("a")), .tcp(port: taken.port)])
            #expect(await streamFailure { try server.bind() } == .cannotListen)
            #expect(fileMode(folder("a")) == nil && openChannels() == before)
            taken.stop()
            try server.bind()
            #expect(fileMode(folder("a")) != nil)
            server.stop()
        }
    }

    @Test func aServerWithoutAnAddressIsAClearError() async throws {
        try await withLoop { _ in
            let server = TCPServer(listeningOn: [])
            let error = await streamError { try await server.serve { _ in } }
            #expect(error?.code == .cannotListen)
            #expect(error?.message.contains("no address") == true)
        }
    }

    @Test("K4: a descriptor from elsewhere is taken over if it listens")
    func aDescriptorThatListensIsTakenOver_K4() async throws {
        try await withLoop { loop in
            let made = try ListeningSocket.bind(to: .tcp(port: 0))[0]
            let copy = dup(made.descriptor)
            made.close()
            let server = TCPServer(listeningOn: [])
            try server.addSocket(try ListeningSocket(adopting: copy))
            #expect(fcntl(copy, F_GETFD) & FD_CLOEXEC != 0)
            try server.listen { stream in try await echo(stream) }
            try await expectEcho(try await connect(server))
            let plain = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            let code = await streamFailure { try ListeningSocket(adopting: plain) }
            #expect(code == .cannotListen)
            #expect(close(plain) == 0)
            _ = loop
        }
    }

    // MARK: Accepting

    @Test("K8: a listener accepts so many in a turn, and the other one has its share")
    func eachListenerAcceptsItsBoundInATurn_K8() async throws {
        try await withLoop { loop in
            loop.limits.acceptsMax = 4
            let server = TCPServer(listeningOn: [.tcp(port: 0), .tcp(port: 0)])
            try server.bind()
            let (busy, quiet) = (server.localAddresses[0], server.localAddresses[1])
            var clients: [IOStream] = []
            for _ in 0..<22 { clients.append(try await TCPClient.connect(to: busy)) }
            clients.append(try await TCPClient.connect(to: quiet))
            var turns: [UInt64: Int] = [:]
            var places: [Bool] = []
            try server.listen { stream in
                turns[loop.turnNumber, default: 0] += 1
                places.append(ownPort(of: stream) == quiet.port)
                try await stream.closed()
            }
            try await loop.turns(until: { places.count == 23 })
            #expect(turns.values.allSatisfy { $0 <= 8 } && turns.count >= 5)
            // Not behind the flood.
            #expect(try #require(places.firstIndex(of: true)) <= 4)
            for client in clients { client.close() }
        }
    }

    private func ownPort(of stream: IOStream) -> Int? {
        stream.transport.descriptor.flatMap { try? Listener.address(of: $0).port }
    }

    @Test("3.3.4: stop in a handler while 40 clients connect is safe")
    func stopInAHandlerWhileFortyConnect_K6() async throws {
        try await withLoop { loop in
            var troubles = 0
            loop.onUnhandledError = { _, _ in troubles += 1 }
            let server = TCPServer(port: 0)
            try server.bind()
            var clients: [IOStream] = []
            for _ in 0..<40 { clients.append(try await connect(server)) }
            try await server.serve { _ in
                server.stop()
                server.stop()
            }
            #expect(server.counts.accepted >= 1 && server.counts.accepted <= 40)
            for client in clients { _ = await failure { try await client.readToEnd() } }
            #expect(troubles == 0)
        }
    }

    @Test("K11: what is accepted does not block, and is closed on exec")
    func acceptedSocketsDoNotBlock_K11() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            var flags: [Bool] = []
            try server.listen { stream in
                guard let descriptor = stream.transport.descriptor else { return }
                flags.append(fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0)
                flags.append(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
            }
            _ = try await connect(server).readToEnd()
            #expect(flags == [true, true])
            _ = loop
        }
    }

    @Test("K1: buffer limits and socket options are those of every connection")
    func connectionsHaveTheServersOptions_K1() async throws {
        try await withLoop { loop in
            var socket = SocketOptions()
            socket.keepAlive = SocketOptions.KeepAlive(
                idle: .milliseconds(1_500), interval: .seconds(7), count: 3)
            socket.userTimeout = .seconds(9)
            let server = TCPServer(
                port: 0,
                options: serverOptions {
                    $0.socket = socket
                    $0.stream.readBufferMax = 4_321
                })
            var seen: [[Int32]] = []
            var buffer = 0
            try server.listen { stream in
                seen.append(socketOptions(of: stream))
                buffer = stream.options.readBufferMax
            }
            var options = TCPClient.Options()
            options.socket = socket
            let near = try await TCPClient.connect(
                host: "127.0.0.1", port: server.port, options: options)
            seen.append(socketOptions(of: near))
            _ = try await near.readToEnd()
            #expect(seen == [[1, 1, 2, 7, 3, 9_000], [1, 1, 2, 7, 3, 9_000]])
            #expect(buffer == 4_321)
            _ = loop
        }
    }

    @Test func theDefaultsAreNoDelayAndNoProbes() async throws {
        try await withLoop { loop in
            let server = TCPServer(
                port: 0, options: serverOptions { $0.socket.noDelay = false })
            var far: [Int32] = []
            try server.listen { stream in far = socketOptions(of: stream) }
            let near = try await connect(server)
            let own = socketOptions(of: near)
            _ = try await near.readToEnd()
            #expect(own[0] == 1 && own[1] == 0 && own[5] == 0)
            #expect(far[0] == 0)
            _ = loop
        }
    }

    private func socketOptions(of stream: IOStream) -> [Int32] {
        let tcp = Int32(IPPROTO_TCP)
        return [
            min(socketOption(stream, tcp, TCP_NODELAY), 1),
            min(socketOption(stream, SOL_SOCKET, SO_KEEPALIVE), 1),
            socketOption(stream, tcp, TCP_KEEPIDLE), socketOption(stream, tcp, TCP_KEEPINTVL),
            socketOption(stream, tcp, TCP_KEEPCNT), socketOption(stream, tcp, TCP_USER_TIMEOUT),
        ]
    }
}
