import CTestMemory
import Glibc
import TestSupport
import Testing
import Updraft
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

        func say(_ text: String) {
            _ = send(socket, text, text.utf8.count, Int32(MSG_NOSIGNAL))
        }

        func vanish() {
            var option = linger(l_onoff: 1, l_linger: 0)
            setsockopt(
                socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
            Glibc.close(socket)
        }
    }

    private static let batch = 200

    /// Some say nothing, some half a line, some a line and leave before the answer; some are gone
    /// before they are accepted, some after.
    private nonisolated(nonsending) func round(
        _ batches: Int, against server: TCPServer, _ loop: IOLoop
    ) async throws {
        for batch in 0..<batches {
            var clients: [RawClient] = []
            for number in 0..<Self.batch {
                let client = try RawClient(port: server.port)
                if number % 3 == 1 { client.say("half a line") }
                if number % 3 == 2 { client.say("a line\n") }
                if number % 2 == 0 { client.vanish() } else { clients.append(client) }
            }
            if batch % 2 == 0 { try await loop.turns(until: { server.connectionCount > 50 }) }
            for client in clients { client.vanish() }
            try await loop.turns(until: { server.connectionCount == 0 })
        }
    }

    @Test func tenThousandConnectionsThatVanishLeaveNothing() async throws {
        try await withLoop(timeLimit: .seconds(60)) { loop in
            var handled = 0
            var ended = 0
            var unhandled = 0
            loop.onUnhandledError = { _, _ in unhandled += 1 }
            let server = TCPServer(port: 0)
            try server.listen { stream in
                handled += 1
                defer { ended += 1 }
                for try await line in stream.lines { try await stream.write(line) }
            }
            try await round(2, against: server, loop)
            try await loop.waitUntilIdle()
            let before = Holdings(of: loop)
            try await round(24, against: server, loop)
            try await expectNothingLeft(since: before, on: loop)
            var allocated = [Int(tm_allocated_bytes())]
            for _ in 0..<3 {
                try await round(8, against: server, loop)
                try await expectNothingLeft(since: before, on: loop)
                allocated.append(Int(tm_allocated_bytes()))
            }
            // Of 1,600 connections; for each that fails the testing library keeps an error's trace.
            #expect(leastGrowth(allocated) < 1_600 * 250, "\(allocated)")
            #expect(handled == ended)
            #expect(handled > 2_500)
            #expect(unhandled == 0)
            // It serves on.
            let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            try await stream.write("still there\n")
            #expect(try await stream.read(exactly: 11).text == "still there")
            stream.close()
            server.stop()
        }
    }
}
