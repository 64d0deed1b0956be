import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// What a server tells of the errors of its connections.
@Suite struct ServerErrorTests {
    /// Held: 3.2.36.
    @Test func anErrorMetLaterByAHandlersReadIsLoggedOnceByTheServer_3_2_36() async throws {
        try await withLoop { loop in
            let log = LogCapture(of: loop)
            let server = TCPServer(port: 0)
            log.add(server)
            var reader: IOStream?
            try server.listen { stream in
                reader = stream
                _ = try await stream.read(exactly: 9)
            }
            let client = try await connect(server)
            try await client.write("x")
            try await client.flush()
            try await loop.turns(until: { reader?.isReading == true })
            #expect(log.all.isEmpty)
            client.abort()
            try await loop.turns(until: { server.connectionCount == 0 })
            let cause = reader?.closeReason?.cause as? SystemError
            #expect(cause?.isDisconnect == true)
            #expect(log.all.count == 1 && log.unhandled == 0)
            let line = try #require(log.all.first)
            #expect(line.hasPrefix("debug: a connection from 127.0.0.1"))
            #expect(line.contains("ended with an error"))
        }
    }

    /// Held: 3.2.19.
    @Test func aReadPastItsLimitIsLoggedByTheServerAlone_3_2_19() async throws {
        try await withLoop { loop in
            let log = LogCapture(of: loop)
            let server = TCPServer(port: 0)
            log.add(server)
            var codes: [StreamError.Code?] = []
            try server.listen { stream in
                let code = await streamFailure { try await stream.read(until: "\n", maxBytes: 5) }
                codes.append(code)
                #expect(log.all.isEmpty)
                throw StreamError(.unsatisfiableRead, "Thrown on.")
            }
            let client = try await connect(server)
            try await client.write("abcdef")
            #expect(try await client.readToEnd().isEmpty)
            client.close()
            try await loop.turns(until: { server.connectionCount == 0 })
            #expect(codes == [.unsatisfiableRead])
            #expect(log.all.count == 1 && log.unhandled == 0)
        }
    }
}
