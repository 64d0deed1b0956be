import Glibc
import Synchronization
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Servers on the loops of one crew: contract rows K2, K4 and K7.
@Suite struct CrewListenTests {
    private func freePort() throws -> Int {
        let socket = try ListeningSocket.bind(host: "127.0.0.1", port: 0)[0]
        defer { socket.close() }
        return try #require(socket.localAddress.port)
    }

    @Test func reusePortSharesThePortWithOthersAlsoFromSeveralLoops_K7() async throws {
        let other = try ListeningSocket.bind(host: "127.0.0.1", port: 0, reusePort: true)[0]
        let port = try #require(other.localAddress.port)
        let bound = Counter()
        try await onFreshThread {
            try IOLoop.run(loops: 2) { _ in
                let server = TCPServer(port: port, options: serverOptions { $0.reusePort = true })
                try server.bind()
                bound.add()
                server.stop()
            }
        }
        #expect(bound.value == 2)
        // Without it they keep apart from those who share it.
        let error = await failure {
            try await onFreshThread {
                try IOLoop.run(loops: 2) { _ in try TCPServer(port: port).bind() }
            }
        }
        #expect((error as? StreamError)?.code == .cannotListen)
        other.close()
    }

    @Test func aFailedBindLeavesTheLoopsInStep_K2() async throws {
        let holder = try ListeningSocket.bind(host: "127.0.0.1", port: 0)[0]
        let taken = try #require(holder.localAddress.port)
        let free = try freePort()
        let ports = Mutex<[[Int]]>([])
        try await onFreshThread {
            try IOLoop.run(loops: 2) { loop in
                if loop.name == "loop-0" {
                    let failing = TCPServer(
                        listeningOn: [.tcp(port: 0), .tcp(port: free), .tcp(port: taken)])
                    #expect(await streamFailure { try failing.bind() } == .cannotListen)
                    let more = TCPServer(listeningOn: [])
                    let error = await streamFailure { try more.bind(to: .tcp(port: taken)) }
                    #expect(error == .cannotListen)
                }
                let server = TCPServer(listeningOn: [.tcp(port: 0), .tcp(port: free)])
                try server.bind()
                ports.withLock { $0.append(server.localAddresses.compactMap(\.port)) }
                while ports.withLock({ $0.count }) < 2 { try await loop.nextTurn() }
                server.stop()
            }
        }
        let seen = ports.withLock { $0 }
        #expect(seen.count == 2 && seen.first == seen.last && seen.first?.last == free)
        holder.close()
    }

    @Test func aSocketOfACrewGoesWithItsLastServer_K4() async throws {
        let folder = SocketFolder()
        let path = folder("a")
        try await onFreshThread {
            try IOLoop.run(loops: 2) { loop in
                guard loop.name == "loop-0" else { return }
                weak var socket: ListeningSocket?
                for _ in 0..<3 {
                    do {
                        let server = TCPServer(listeningOn: [.unix(path), .tcp(port: 0)])
                        try server.bind()
                        socket = server.listeners.first?.socket
                        #expect(socket != nil)
                        server.stop()
                    }
                    #expect(socket == nil)
                }
            }
        }
    }
}
