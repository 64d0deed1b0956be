// Unsafe: gives `connect` the address of one on the stack.

import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTLS
import UpdraftTesting

/// Ten thousand connections that are made and vanish with a reset, against a real server.
@Suite struct FaultVanishTests {
    /// A connection made by hand, in a few system calls.
    private struct RawClient {
        let socket: Int32

        init(port: Int) throws {
            socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if result != 0 { throw SystemError(errno: errno, operation: "connect") }
        }

        func say(_ bytes: some Collection<UInt8>) {
            _ = send(socket, Array(bytes), bytes.count, Int32(MSG_NOSIGNAL))
        }

        func vanish() {
            var option = linger(l_onoff: 1, l_linger: 0)
            setsockopt(
                socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
            Glibc.close(socket)
        }
    }

    private static let batch = 200

    /// Each says one of these. Some are gone before they are accepted, some after.
    private nonisolated(nonsending) func round(
        _ batches: Int, saying words: [[UInt8]], against server: TCPServer, _ loop: IOLoop
    ) async throws {
        for batch in 0..<batches {
            var clients: [RawClient] = []
            for number in 0..<Self.batch {
                let client = try RawClient(port: server.port)
                let said = words[number % words.count]
                if !said.isEmpty { client.say(said) }
                if number % 2 == 0 { client.vanish() } else { clients.append(client) }
            }
            if batch % 2 == 0 { try await loop.turns(until: { server.connectionCount > 50 }) }
            for client in clients { client.vanish() }
            try await loop.turns(until: { server.connectionCount == 0 })
        }
    }

    /// Some say nothing, some half a line, some a line and leave before the answer.
    @Test func tenThousandConnectionsThatVanishLeaveNothing() async throws {
        try await withLoop(timeLimit: .seconds(60)) { loop in
            var handled = 0
            var ended = 0
            let log = LogCapture(of: loop)
            let server = TCPServer(port: 0)
            try server.listen { stream in
                handled += 1
                defer { ended += 1 }
                for try await line in stream.lines { try await stream.write(line) }
            }
            let words = [[], "half a line".bytes, "a line\n".bytes]
            try await round(2, saying: words, against: server, loop)
            try await loop.waitUntilIdle()
            let before = Holdings(of: loop)
            try await round(24, saying: words, against: server, loop)
            try await expectNothingLeft(since: before, on: loop)
            try await expectNoGrowth(on: loop) {
                try await round(13, saying: words, against: server, loop)
            }
            #expect(handled == ended)
            #expect(handled > 2_500)
            #expect(log.unhandled == 0)
            // It serves on.
            let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            try await stream.write("still there\n")
            #expect(try await stream.read(exactly: 11).text == "still there")
            stream.close()
            server.stop()
        }
    }

    /// What a client of TLS says first.
    private nonisolated(nonsending) func hello(on loop: IOLoop) async throws -> [UInt8] {
        let (near, far) = try MemoryStream.pair(on: loop)
        try await near.beginTLS(client: clientContext(), host: "localhost")
        let bytes = try await far.read(upTo: 10_000)
        near.abort()
        far.abort()
        return bytes
    }

    /// Some say nothing, some half of what a handshake begins with, some all of that, and some
    /// what is no handshake.
    @Test func tenThousandHandshakesThatVanishLeaveNothing() async throws {
        let (context, clientContext) = (try serverContext(), try clientContext())
        try await withLoop(timeLimit: .seconds(60)) { loop in
            var handled = 0
            let log = LogCapture(of: loop)
            let server = TCPServer(port: 0)
            server.useTLS(context)
            try server.listen { stream in
                for try await line in stream.lines {
                    handled += 1
                    try await stream.write(line)
                }
            }
            let hello = try await hello(on: loop)
            let words = [
                [], Array(hello.prefix(hello.count / 2)), hello, Array(hello.prefix(3)),
                "GET / HTTP/1.0\r\n\r\n".bytes,
            ]
            try await round(2, saying: words, against: server, loop)
            try await loop.waitUntilIdle()
            try await expectNoGrowth(on: loop) {
                try await round(25, saying: words, against: server, loop)
            }
            #expect(handled == 0)
            #expect(log.unhandled == 0)
            // It serves on.
            let stream = try await TCPClient.connect(
                host: "localhost", port: server.port, tls: clientContext)
            try await stream.write("still there\n")
            #expect(try await stream.read(exactly: 11).text == "still there")
            stream.close()
            server.stop()
        }
    }
}
