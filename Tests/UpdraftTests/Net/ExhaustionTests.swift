import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// A process without descriptors: the row on descriptors in the contract's 4.1. See also
/// `ProcessTests/aServerWithoutDescriptorsPausesInsteadOfSpinningAndRecovers`.
@Suite struct ExhaustionTests {
    @Test func thoseWhoConnectSeeACloseAndTheServerRecovers() async {
        await #expect(processExitsWith: .success) {
            try await withVirtualLoop { loop in
                let lines = LogLines()
                let options = serverOptions { $0.exhaustionPause = .milliseconds(20) }
                let server = TCPServer(
                    listeningOn: [.tcp(port: 0), .tcp(port: 0)], options: options)
                server.logger = lines.logger
                try server.listen { stream in try await echo(stream) }
                let keeper = try await connect(server)
                try await expectEcho(keeper)
                // As many descriptors as there are, but for three clients' ends.
                for round in 1...3 {
                    let clients = try connectors(3)
                    let whole = exhaust()
                    for client in clients { connectBlocking(client, port: server.port) }
                    try await loop.turns(until: { server.counts.shed == UInt64(3 * round) })
                    for client in clients { precondition(seesTheEnd(client)) }
                    let before = loop.turnNumber
                    try await loop.sleep(for: .milliseconds(200))
                    precondition(loop.turnNumber - before < 100)
                    // Those who are there go on.
                    try await expectEcho(keeper)
                    limitDescriptors(to: whole)
                    for client in clients { close(client) }
                    try await loop.sleep(for: .milliseconds(20))
                }
                // The first was refused; the later ones came within ten pauses of trouble or after.
                precondition(lines.with("warning", "for now").count <= 3)
                precondition(server.counts.accepted == 1)
                try await expectEcho(try await connect(server))
                precondition(server.counts.accepted == 2)
            }
        }
    }

    @Test func troubleIsLoggedOnceForAllConnectionsOfAnEpisode() async {
        await #expect(processExitsWith: .success) {
            try await withVirtualLoop { loop in
                let lines = LogLines()
                let options = serverOptions { $0.exhaustionPause = .milliseconds(20) }
                let server = TCPServer(port: 0, options: options)
                server.logger = lines.logger
                try server.listen { stream in try await echo(stream) }
                try await loop.nextTurn()
                let clients = try connectors(20)
                let whole = exhaust()
                for client in clients {
                    connectBlocking(client, port: server.port)
                    try await loop.sleep(for: .milliseconds(30))
                    // The pause is over; the kernel may still be about to tell of the connection.
                    try await loop.turns(until: { seesTheEnd(client) })
                }
                precondition(server.counts.shed == 20)
                precondition(lines.with("warning", "for now").count == 1)
                limitDescriptors(to: whole)
                // A second episode, after a while without trouble.
                try await loop.sleep(for: .seconds(1))
                let late = try connectors(1)
                _ = exhaust()
                connectBlocking(late[0], port: server.port)
                try await loop.turns(until: { server.counts.shed == 21 })
                precondition(lines.with("warning", "for now").count == 2)
                limitDescriptors(to: whole)
            }
        }
    }
}

extension ExhaustionTests {
    @Test(arguments: [Duration.seconds(3_600), .seconds(Int64.max)])
    func stopEndsThePause(pause: Duration) async {
        await #expect(processExitsWith: .success) { [pause] in
            try await withVirtualLoop { loop in
                let server = TCPServer(
                    port: 0, options: serverOptions { $0.exhaustionPause = pause })
                try server.bind()
                let serving = loop.async { try await server.serve { try await echo($0) } }
                try await loop.nextTurn()
                let clients = try connectors(2)
                let whole = exhaust()
                connectBlocking(clients[0], port: server.port)
                try await loop.turns(until: { server.counts.shed == 1 })
                let start = loop.now
                try await loop.nextTurn()
                server.stop()
                try await serving.value
                precondition(start == loop.now)
                limitDescriptors(to: whole)
            }
        }
    }

    @Test(arguments: [Duration.zero, .seconds(-1), .nanoseconds(1)])
    func aPauseIsAtLeastAMillisecond(pause: Duration) async {
        await #expect(processExitsWith: .success) { [pause] in
            try await withLoop { loop in
                let server = TCPServer(
                    port: 0, options: serverOptions { $0.exhaustionPause = pause })
                try server.bind()
                let clients = try connectors(1)
                connectBlocking(clients[0], port: server.port)
                // Without a spare descriptor, whoever waits can't be sent away.
                let whole = exhaust()
                try server.listen { stream in try await echo(stream) }
                let before = loop.turnNumber
                try await loop.sleep(for: .milliseconds(100))
                precondition(loop.turnNumber - before < 600)
                precondition(server.counts.shed == 0)
                limitDescriptors(to: whole)
                try await loop.turns(until: { server.counts.accepted > 0 })
            }
        }
    }
}

/// Sockets that have not connected yet: the clients' descriptors, before there are none.
private func connectors(_ count: Int) throws -> [Int32] {
    (0..<count).map { _ in
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        precondition(descriptor >= 0)
        return descriptor
    }
}

private func connectBlocking(_ descriptor: Int32, port: Int) {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            Glibc.connect(descriptor, $0, size)
        }
    }
    precondition(result == 0)
}

private func seesTheEnd(_ descriptor: Int32) -> Bool {
    var byte: UInt8 = 0
    return recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT)) == 0
}

/// From now on every number is taken, or above the limit. Returns the limit before.
private func exhaust() -> rlim_t {
    let free = dup(0)
    close(free)
    return limitDescriptors(to: rlim_t(free))
}

@discardableResult
private func limitDescriptors(to count: rlim_t) -> rlim_t {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    precondition(getrlimit(resource, &limit) == 0)
    let before = limit.rlim_cur
    limit.rlim_cur = count
    precondition(setrlimit(resource, &limit) == 0)
    return before
}
