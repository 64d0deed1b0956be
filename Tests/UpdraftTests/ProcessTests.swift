import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// What needs a process of its own: mistakes that stop it, and counts of what it has.
@Suite struct ProcessTests {
    private static func standardError(_ result: ExitTest.Result?) -> String {
        String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    }

    // MARK: Mistakes

    @Test func aLoopUsedOnAnotherThreadStopsTheProgramWithASentence() async {
        let result = await #expect(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            try await withLoop { loop in
                nonisolated(unsafe) let smuggled = loop
                await Task.detached { smuggled.addCallback {} }.value
            }
        }
        let text = Self.standardError(result)
        #expect(text.contains("IOLoop.addCallback was used outside its loop's thread"))
        #expect(text.contains("loop.remote.addCallback"))
    }

    @Test func aStreamUsedOnAnotherThreadStopsTheProgramWithASentence() async {
        let result = await #expect(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            try await withLoop { loop in
                nonisolated(unsafe) let (stream, _) = try MemoryStream.pair(on: loop)
                await Task.detached { try? await stream.write("x") }.value
            }
        }
        #expect(Self.standardError(result).contains("was used outside its loop's thread"))
    }

    @Test func withoutALoopCurrentSaysWhatToDo() async {
        let result = await #expect(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            await Task.detached { _ = IOLoop.current }.value
        }
        let text = Self.standardError(result)
        #expect(text.contains("There is no loop on this thread"))
        #expect(text.contains("loop.spawn"))
    }

    @Test func aServerOutsideALoopSaysWhatToDo() async {
        let result = await #expect(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            _ = TCPServer(port: 0)
        }
        #expect(Self.standardError(result).contains("There is no loop on this thread"))
    }

    @Test func closingARunningLoopSaysSo() async {
        let result = await #expect(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            try await withLoop { loop in loop.close() }
        }
        #expect(Self.standardError(result).contains("close was called while the loop runs"))
    }

    // MARK: Counts

    @Test func aThousandConnectionsLeaveNothingBehind() async {
        await #expect(processExitsWith: .success) {
            try await withLoop { loop in
                let server = TCPServer(port: 0)
                try server.listen { stream in
                    for try await chunk in stream.chunks { try await stream.write(chunk) }
                }
                func connect() async throws {
                    let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                    try await stream.write("x")
                    let reply = try await stream.read(exactly: 1)
                    precondition(reply == [120])
                    stream.close()
                    try await stream.closed()
                }
                try await connect()
                try await loop.turns(until: { server.connectionCount == 0 })
                let descriptors = openDescriptors()
                let streams = loop.openStreams
                for _ in 0..<1_000 { try await connect() }
                try await loop.turns(until: { server.connectionCount == 0 })
                precondition(loop.openStreams == streams)
                // The test harness has descriptors of its own that come and go; a leak of one in
                // each connection would be a thousand.
                precondition(openDescriptors() < descriptors + 100)
            }
        }
    }

    @Test func closedLoopsLeaveNoDescriptors() async {
        await #expect(processExitsWith: .success) {
            @Sendable func useALoop() throws {
                try IOLoop.run { loop in
                    let server = TCPServer(port: 0)
                    try server.listen { stream in try await stream.closed() }
                    _ = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                    try loop.addSignalHandler(.sigusr1) {}
                    _ = try await loop.runInExecutor { 1 }
                    try await loop.turns(3)
                }
            }
            try await onFreshThread { try useALoop() }
            let before = openDescriptors()
            try await onFreshThread { for _ in 0..<50 { try useALoop() } }
            // A loop's executor, which has a descriptor, may live a moment longer on its pool's
            // thread, on a busy machine many of them; a leak of one in each loop would be fifty.
            let clock = ContinuousClock()
            let deadline = clock.now.advanced(by: .seconds(10))
            while openDescriptors() >= before + 25, clock.now < deadline { await Task.yield() }
            precondition(openDescriptors() < before + 25)
        }
    }

    @Test func aSignalWithoutAHandlerEndsTheProcessAgain_D5() async {
        await #expect(processExitsWith: .signal(SIGTERM)) {
            try await withLoop { loop in
                let waiting = loop.async { try await loop.signal([.sigterm]) }
                try await loop.turns(3)
                raiseSignal(.sigterm)
                _ = try await waiting.value
                raiseSignal(.sigterm)
                try await loop.sleep(for: .seconds(5))
            }
        }
    }

    @Test func aClosedPipeIsAnErrorAndNoSignal() async {
        await #expect(processExitsWith: .success) {
            try await withLoop { loop in
                let (near, far) = try await connectedPair(on: loop)
                far.abort()
                for _ in 0..<10 {
                    _ = await failure { try await near.write("x") }
                    try await loop.nextTurn()
                }
            }
        }
    }

    @Test func aServerWithoutDescriptorsPausesInsteadOfSpinningAndRecovers() async {
        await #expect(processExitsWith: .success) {
            try await withVirtualLoop { loop in
                var options = TCPServer.Options()
                options.exhaustionPause = .milliseconds(20)
                let server = TCPServer(port: 0, options: options)
                var served = 0
                try server.bind()
                // The kernel makes the connections; the server finds no descriptor for them.
                var clients: [IOStream] = []
                for _ in 0..<5 {
                    clients.append(
                        try await TCPClient.connect(host: "127.0.0.1", port: server.port))
                }
                let free = dup(0)
                close(free)
                let whole = limitDescriptors(to: rlim_t(free))
                try server.listen { stream in
                    served += 1
                    try await stream.write("!")
                }
                let before = loop.turnNumber
                // Ten pauses, in virtual time.
                try await loop.sleep(for: .milliseconds(200))
                precondition(served == 0)
                precondition(loop.turnNumber - before < 100)
                _ = limitDescriptors(to: whole)
                for client in clients {
                    let reply = try await client.readToEnd()
                    precondition(reply == [33])
                }
            }
        }
    }
}

/// Descriptor numbers from the limit on are refused; returns the limit before.
private func limitDescriptors(to count: rlim_t) -> rlim_t {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    precondition(getrlimit(resource, &limit) == 0)
    let before = limit.rlim_cur
    limit.rlim_cur = count
    precondition(setrlimit(resource, &limit) == 0)
    return before
}
