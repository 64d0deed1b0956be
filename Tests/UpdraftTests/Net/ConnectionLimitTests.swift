import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// How many connections a server holds, and what becomes of the rest; see also
/// `TCPServerTests/connectionsAboveTheLimitWaitForRoom`.
@Suite struct ConnectionLimitTests {
    private func full(_ connectionsMax: Int) -> TCPServer {
        TCPServer(
            port: 0,
            options: serverOptions {
                $0.connectionsMax = connectionsMax
                $0.whenFull = .refuse
            })
    }

    @Test func aFullServerRefusesAtOnceAndServesAgainWhenThereIsRoom() async throws {
        try await withLoop { loop in
            let lines = LogLines()
            let server = full(1)
            server.logger = lines.logger
            try server.listen { stream in try await echo(stream) }
            for round in 1...2 {
                let first = try await connect(server)
                try await expectEcho(first)
                for _ in 0..<5 {
                    let other = try await connect(server)
                    #expect(await streamFailure { try await other.read(upTo: 1) } != nil)
                    other.close()
                }
                #expect(server.connectionCount == 1)
                #expect(server.counts.accepted == UInt64(round))
                #expect(server.counts.refused == UInt64(5 * round))
                #expect(lines.with("warning", "refused", "1 are open").count == 1)
                try await expectEcho(first)
                first.close()
                try await loop.turns(until: { server.connectionCount == 0 })
            }
        }
    }

    @Test func refusalsAreLoggedOnceForAnEpisode() async throws {
        try await withVirtualLoop { loop in
            let lines = LogLines()
            let server = full(1)
            server.logger = lines.logger
            try server.listen { stream in try await echo(stream) }
            nonisolated(nonsending) func refusal() async throws {
                let first = try await connect(server)
                try await expectEcho(first)
                let other = try await connect(server)
                _ = await failure { try await other.read(upTo: 1) }
                other.close()
                first.close()
                try await loop.turns(until: { server.connectionCount == 0 })
            }
            // A server that is full again and again, for an hour.
            for _ in 0..<1_200 {
                try await refusal()
                try await loop.sleep(for: .seconds(3))
            }
            #expect(lines.with("warning", "refused").count == 1)
            try await loop.sleep(for: .seconds(60))
            try await refusal()
            #expect(lines.with("warning", "refused").count == 2)
            #expect(lines.with("warning", "refused", "1200 since").count == 1)
            #expect(server.counts.refused == 1_201)
        }
    }

    @Test("K8: refusing is bounded in each turn, as accepting is")
    func refusingIsBoundedInATurn_K8() async throws {
        try await withLoop { loop in
            loop.limits.acceptsMax = 4
            let server = full(0)
            try server.bind()
            var clients: [IOStream] = []
            for _ in 0..<20 { clients.append(try await connect(server)) }
            try server.listen { _ in }
            var refused: UInt64 = 0
            var steps = 0
            while refused < 20 {
                try await loop.nextTurn()
                let now = server.counts.refused
                #expect(now - refused <= 4)
                if now > refused { steps += 1 }
                refused = now
            }
            #expect(steps >= 5)
            for client in clients { client.close() }
        }
    }

    @Test func aServerThatWaitsRefusesNobody() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0, options: serverOptions { $0.connectionsMax = 1 })
            try server.listen { stream in try await echo(stream) }
            for _ in 0..<3 {
                let stream = try await connect(server)
                try await expectEcho(stream)
                stream.close()
            }
            #expect(server.counts.accepted == 3 && server.counts.refused == 0)
            _ = loop
        }
    }
}
