import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// A server that is started again while the connections of its predecessor are still in the
/// kernel: contract row K7.
@Suite struct RestartTests {
    @Test func aPortWhoseConnectionsAreInTimeWaitCanBeListenedOn_K7() async throws {
        try await withLoop { loop in
            let first = TCPServer(port: 0)
            // The side that closes first keeps the connection for a minute.
            try first.listen { stream in try await stream.write("bye") }
            let client = try await connect(first)
            #expect(try await client.readToEnd() == "bye".bytes)
            client.close()
            try await client.closed()
            try await loop.turns(until: { first.connectionCount == 0 })
            let port = first.port
            first.stop()
            #expect(plainBind(to: port) == EADDRINUSE)
            let second = TCPServer(port: port)
            try second.listen { stream in try await echo(stream) }
            try await expectEcho(try await connect(second))
        }
    }

    /// Without SO_REUSEADDR. The error; 0 if there is none.
    private func plainBind(to port: Int) -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size)
            }
        }
        return result == 0 ? 0 : errno
    }
}
