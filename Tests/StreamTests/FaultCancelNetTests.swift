// Unsafe: gives the system calls that make a listener the address of one on the stack.

import Glibc
import TestSupport
import Testing
import UpdraftTLS
import UpdraftTesting

@testable import Updraft

/// Cancellation at every place where servers, clients and datagram sockets wait.
@Suite struct FaultCancelNetTests {
    /// A listener that has no room for another connection: to connect waits there.
    private func fullListener() throws -> (sockets: [Int32], port: Int) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        func call(_ body: (UnsafeMutablePointer<sockaddr>) -> Int32) -> Int32 {
            withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1, body)
            }
        }
        let bound = call { Glibc.bind(listener, $0, length) }
        guard bound == 0, listen(listener, 0) == 0,
            call({ getsockname(listener, $0, &length) }) == 0
        else { throw SystemError(errno: errno, operation: "listen") }
        var sockets = [listener]
        for _ in 0..<3 {
            let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
            sockets.append(socket(AF_INET, kind, 0))
            _ = call { Glibc.connect(sockets[sockets.count - 1], $0, length) }
        }
        return (sockets, Int(in_port_t(bigEndian: address.sin_port)))
    }

    @Test func connectingCanBeCancelled() async throws {
        let context = try clientContext()
        try await withLoop { loop in
            let (sockets, port) = try fullListener()
            defer { for socket in sockets { Glibc.close(socket) } }
            // It makes the threads of the resolver.
            let warm = try SystemResolver.shared(on: loop)
            _ = try await warm.resolve("127.0.0.1", port: 1, family: .any)
            let address = try SocketAddress(host: "127.0.0.1", port: port)
            try await expectNoGrowth(on: loop, times: 10) {
                try await expectCancellation(on: loop, "connect to an address") {
                    try await TCPClient.connect(to: address).abort()
                }
                try await expectCancellation(on: loop, "connect to a host") {
                    try await TCPClient.connect(host: "127.0.0.1", port: port).abort()
                }
                try await expectCancellation(on: loop, "connect with TLS") {
                    let stream = try await TCPClient.connect(
                        host: "127.0.0.1", port: port, tls: context)
                    stream.abort()
                }
            }
        }
    }

    /// Answers when it is told to.
    private final class SlowResolver: Resolver {
        var asked = 0
        let loop: IOLoop
        init(_ loop: IOLoop) { self.loop = loop }

        nonisolated(nonsending) func resolve(
            _ host: String, port: Int, family: AddressFamily
        ) async throws -> [SocketAddress] {
            asked += 1
            try await loop.sleep(for: .seconds(3_600))
            return []
        }
    }

    @Test func resolvingCanBeCancelled() async throws {
        try await withLoop { loop in
            let resolver = SlowResolver(loop)
            let system = try SystemResolver(loop)
            let before = Holdings(of: loop)
            let answers = Answers()
            // The system's own way takes as long as it takes; whoever waits for it need not.
            let task = answers.ask("look-up", on: loop) {
                _ = try await system.resolve("no-such-host.invalid", port: 1, family: .any)
            }
            task.cancel()
            try await loop.turns(until: { answers.isComplete })
            #expect(answers.texts == ["look-up": "CancellationError"])
            try await expectCancellation(on: loop, "connect") {
                _ = try await TCPClient.connect(host: "a.example", port: 1, resolver: resolver)
            }
            #expect(resolver.asked >= 1)
            let after = try await before.settled(on: loop)
            #expect(after.streams == before.streams && after.timeouts == before.timeouts)
        }
    }

    @Test func acceptingCanBeCancelled() async throws {
        try await withLoop { loop in
            try await expectNoGrowth(on: loop, times: 10) {
                for isEarly in [true, false] {
                    let server = TCPServer(port: 0)
                    try await expectCancellation(on: loop, "serve", early: isEarly) {
                        try await server.serve { try await $0.closed() }
                    }
                }
            }
        }
    }

    /// A drain that is given up cuts what is left, and says so.
    @Test(arguments: [true, false])
    func aDrainCanBeCancelledAndCuts(isEarly: Bool) async throws {
        try await withLoop { loop in
            try await expectNoGrowth(on: loop, times: 5) {
                let server = TCPServer(port: 0)
                var accepted: IOStream?
                try server.listen { stream in
                    accepted = stream
                    _ = try await stream.read(until: "\n")
                }
                let near = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                try await near.write("half")
                try await loop.turns(until: { accepted?.unparsedBytes == 4 })
                let answers = Answers()
                var cut: Int?
                let draining = answers.ask("drain", on: loop) {
                    cut = await server.drain(.seconds(3_600))
                }
                if !isEarly { try await loop.turns(6) }
                #expect(!answers.isComplete && accepted?.isClosed == false)
                draining.cancel()
                try await loop.turns(until: { answers.isComplete })
                #expect(answers.texts == ["drain": "value"] && cut == 1)
                #expect(accepted?.isClosed == true && server.connectionCount == 0)
                near.abort()
            }
        }
    }

    @Test(arguments: [TransportKind.memory, .tcp, .unix, .pipe])
    func readingAProxyHeaderCanBeCancelled(over kind: TransportKind) async throws {
        try await withLoop { loop in
            try await expectNoGrowth(on: loop, times: 5) {
                let (near, far) = try await kind.pair(on: loop)
                try await expectCancellation(on: loop, "header") {
                    _ = try await far.readProxyHeader()
                }
                #expect(!far.isReading && !far.isClosed)
                try await near.write("PROXY TCP4 192.0.2.7 192.0.2.1 50000 80\r\nx")
                let header = try await far.readProxyHeader()
                #expect(header.source?.host == "192.0.2.7")
                #expect(try await far.read(upTo: 9) == "x".bytes)
                // In the middle of one.
                try await near.write("PROXY TCP4 192.0.2.7")
                try await expectCancellation(on: loop, "half a header", early: false) {
                    _ = try await far.readProxyHeader()
                }
                near.close()
                far.close()
            }
        }
    }

    @Test func receivingDatagramsCanBeCancelled() async throws {
        try await withLoop { loop in
            try await expectNoGrowth(on: loop, times: 5) {
                let socket = try UDPSocket()
                try await expectCancellation(on: loop, "receive") {
                    _ = try await socket.receive()
                }
                try await expectCancellation(on: loop, "batch") {
                    _ = try await socket.receiveBatch(upTo: 8)
                }
                try await expectCancellation(on: loop, "datagrams") {
                    for try await _ in socket.datagrams {}
                }
                try await socket.send("x".bytes, to: socket.localAddress)
                #expect(try await socket.receive().bytes == "x".bytes)
                socket.close()
            }
        }
    }

    /// What waits for room and is cancelled is not sent.
    @Test func sendingDatagramsCanBeCancelled() async throws {
        try await withLoop { loop in
            try await expectNoGrowth(on: loop, times: 5) {
                var options = UDPSocket.Options()
                options.sendQueueMax = 10
                let (near, far) = (try UDPSocket(options: options), try UDPSocket())
                let address = far.localAddress
                try await loop.turns(2)
                // As after a send that found no room.
                near.readiness.subtract(.write)
                try await near.send("the queue is full".bytes, to: address)
                try await expectCancellation(on: loop, "send") {
                    try await near.send("never".bytes, to: address)
                }
                try await expectCancellation(on: loop, "batch") {
                    let never = OutgoingDatagram("never".bytes, to: address)
                    _ = try await near.sendBatch([never])
                }
                near.ready(.write)
                try await near.send("next".bytes, to: address)
                #expect(try await far.receive().bytes == "the queue is full".bytes)
                #expect(try await far.receive().bytes == "next".bytes)
                near.close()
                far.close()
            }
        }
    }

    /// Of one socket that lives on.
    @Test func aSocketForgetsWaitsThatWereGivenUp() async throws {
        try await withLoop { loop in
            var options = UDPSocket.Options()
            options.sendQueueMax = 10
            let (near, far) = (try UDPSocket(options: options), try UDPSocket())
            let address = far.localAddress
            try await loop.turns(2)
            // As after a send that found no room.
            near.readiness.subtract(.write)
            try await near.send("the queue is full".bytes, to: address)
            try await expectNoGrowth(on: loop, times: 50) {
                try await expectCancellation(on: loop, "send", early: false) {
                    try await near.send("never".bytes, to: address)
                }
                try await expectCancellation(on: loop, "receive", early: false) {
                    _ = try await far.receive()
                }
            }
            near.close()
            far.close()
        }
    }
}
