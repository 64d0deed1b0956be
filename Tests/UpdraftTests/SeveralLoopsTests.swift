import Synchronization
import Testing

@testable import Updraft

/// `IOLoop.run(loops:)`: issue 3, part 8; contract row A17.
@Suite struct SeveralLoopsTests {
    struct Stop: Error {}

    /// Off the test's own thread, which belongs to the pool.
    private func onThread(_ body: @escaping @Sendable () throws -> Void) async throws {
        let pool = try BlockingPool(name: "several", size: 1)
        defer { pool.close() }
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            do {
                try pool.submit { done.resume(with: Result { try body() }) }
            } catch {
                done.resume(throwing: error)
            }
        }
    }

    @Test func everyLoopRunsItsBodyOnAThreadOfItsOwn() async throws {
        let names = Mutex<Set<String>>([])
        let executors = Mutex<Set<ObjectIdentifier>>([])
        try await onThread {
            try IOLoop.run(loops: 3) { loop in
                try await loop.nextTurn()
                names.withLock { _ = $0.insert(loop.name) }
                executors.withLock { _ = $0.insert(ObjectIdentifier(loop.executor)) }
                #expect(IOLoop.current === loop)
            }
        }
        #expect(names.withLock { $0 } == ["loop-0", "loop-1", "loop-2"])
        #expect(executors.withLock { $0.count } == 3)
    }

    @Test func anErrorInOneEndsAllAndIsReported() async throws {
        let cancelled = Mutex(0)
        await #expect(throws: Stop.self) {
            try await onThread {
                try IOLoop.run(loops: 3) { loop in
                    if loop.name == "loop-1" { throw Stop() }
                    do {
                        try await loop.sleep(for: .seconds(3_600))
                    } catch {
                        cancelled.withLock { $0 += 1 }
                        throw error
                    }
                }
            }
        }
        #expect(cancelled.withLock { $0 } == 2)
    }

    @Test func serversOfAllLoopsShareOnePortThatTheSystemPicked() async throws {
        let ports = Mutex<[Int]>([])
        let asked = Mutex(0)
        let served = Mutex<Set<String>>([])
        try await onThread {
            try IOLoop.run(loops: 2) { loop in
                let server = TCPServer(port: 0)
                try server.listen { stream in
                    served.withLock { _ = $0.insert(loop.name) }
                    try await stream.write("x")
                }
                ports.withLock { $0.append(server.port) }
                while ports.withLock({ $0.count }) < 2 { try await loop.nextTurn() }
                // The kernel spreads connections by their addresses: sooner or later both serve.
                while served.withLock({ $0.count }) < 2 {
                    let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                    _ = try await stream.readToEnd()
                    stream.close()
                }
                // A server that stops resets what nobody has accepted: the other loop's connection.
                asked.withLock { $0 += 1 }
                while asked.withLock({ $0 }) < 2 { try await loop.nextTurn() }
                server.stop()
            }
        }
        let seen = ports.withLock { $0 }
        #expect(Set(seen).count == 1)
        #expect(served.withLock { $0 } == ["loop-0", "loop-1"])
    }

    @Test func aServerOfOneLoopAloneLeavesTheOthersTheirPorts() async throws {
        let admin = try freePort()
        let echo = try freePort()
        let seen = Mutex<[String: [Int]]>([:])
        try await onThread {
            try IOLoop.run(loops: 2) { loop in
                var servers: [TCPServer] = []
                if loop.name == "loop-0" { servers.append(TCPServer(port: admin)) }
                servers += [TCPServer(port: echo), TCPServer(port: 0), TCPServer(port: 0)]
                for server in servers { try server.bind() }
                seen.withLock { $0[loop.name] = servers.map(\.port) }
                // A port that the system picks is free again when all of its sockets are closed.
                while seen.withLock({ $0.count }) < 2 { try await loop.nextTurn() }
                for server in servers { server.stop() }
            }
        }
        let ports = seen.withLock { $0 }
        #expect(ports["loop-0"]?.prefix(2) == [admin, echo])
        #expect(ports["loop-1"]?.first == echo)
        #expect(ports["loop-0"]?.suffix(2) == ports["loop-1"]?.suffix(2))
        #expect(Set(ports["loop-1"] ?? []).count == 3)
    }

    /// A port that nobody listens on now.
    private func freePort() throws -> Int {
        let loop = try IOLoop()
        defer { loop.close() }
        let server = TCPServer(port: 0)
        try server.bind()
        defer { server.stop() }
        return server.port
    }

    @Test func aPortThatIsTakenIsAnErrorForAllLoops() async throws {
        let error = await #expect(throws: StreamError.self) {
            try await onThread {
                let holder = try IOLoop()
                let taken = TCPServer(port: 0)
                try taken.bind()
                defer {
                    taken.stop()
                    holder.close()
                }
                let port = taken.port
                try IOLoop.run(loops: 2) { _ in
                    try await TCPServer(port: port).serve { _ in }
                }
            }
        }
        #expect(error?.code == .cannotListen)
    }
}
