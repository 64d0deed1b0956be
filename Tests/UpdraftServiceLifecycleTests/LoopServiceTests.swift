#if ServiceLifecycle
    import Logging
    import ServiceLifecycle
    import Synchronization
    import Testing
    import Updraft
    import UpdraftRPC
    import UpdraftServiceLifecycle
    import UpdraftTesting

    /// `LoopService` in a real service group; contract rows P1-P3 and the row "gaps" below them.
    struct ServiceLifecycleTests {
        /// A value that one side sets and another waits for.
        private final class Promise<Value: Sendable>: Sendable {
            private let values: AsyncStream<Value>
            private let continuation: AsyncStream<Value>.Continuation

            init() { (values, continuation) = AsyncStream.makeStream() }

            func set(_ value: Value) { continuation.yield(value) }

            var value: Value? {
                get async {
                    var iterator = values.makeAsyncIterator()
                    return await iterator.next()
                }
            }
        }

        private struct Broken: Error {}

        private func group(_ service: some Service) -> ServiceGroup {
            ServiceGroup(services: [service], logger: Logger(label: "test"))
        }

        /// A service whose method `work` runs `work`; its port comes through `port`.
        private func service(
            _ port: Promise<Int>, drain: Duration, hook: @escaping @Sendable () -> Void = {},
            _ work: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> Int
        ) -> LoopService {
            LoopService(name: "rpc", drain: drain) { loop in
                loop.onStop("hook") { hook() }
                let rpc = RPCServer(port: 0)
                rpc.register("work") { try await work(loop) }
                try rpc.bind()
                port.set(rpc.port)
                try await rpc.serve()
            }
        }

        /// Calls the method that the services here have.
        private func work(on port: Int) async throws -> Int {
            try await withLoop { _ in
                let peer = try await RPCClient.connect(host: "127.0.0.1", port: port)
                return try await peer.call("work") as Int
            }
        }

        @Test(.timeLimit(.minutes(1)))
        func aRequestInFlightIsAnsweredDuringTheGracefulShutdown_gaps() async throws {
            let (port, begun, hookRan) = (Promise<Int>(), Promise<Void>(), Promise<Void>())
            let service = service(port, drain: .seconds(30), hook: { hookRan.set(()) }) { loop in
                begun.set(())
                while !loop.isShuttingDown { try await loop.nextTurn() }
                try await loop.nextTurn()
                return 42
            }
            let group = group(service)
            let running = Task { try await group.run() }
            let number = try #require(await port.value)
            let asking = Task { try await work(on: number) }
            _ = await begun.value
            await group.triggerGracefulShutdown()
            #expect(try await asking.value == 42)
            try await running.value
            _ = await hookRan.value
        }

        @Test(.timeLimit(.minutes(1)))
        func aRequestThatNeverEndsIsCutAtTheDeadlineAndTheGroupThrows_gaps() async throws {
            let (port, begun) = (Promise<Int>(), Promise<Void>())
            let service = service(port, drain: .milliseconds(100)) { loop in
                begun.set(())
                try await loop.sleep(for: .seconds(3_600))
                return 0
            }
            let group = group(service)
            let running = Task { try await group.run() }
            let number = try #require(await port.value)
            let asking = Task { try await work(on: number) }
            _ = await begun.value
            await group.triggerGracefulShutdown()
            await #expect(throws: RPCError.self) { try await asking.value }
            let error = await #expect(throws: ShutdownError.self) { try await running.value }
            #expect(error?.report.cutConnections == 1)
        }

        @Test(.timeLimit(.minutes(1)))
        func cancellingTheGroupCancelsTheLoopsTasks() async throws {
            let (begun, ended) = (Promise<Void>(), Promise<Bool>())
            let service = LoopService { loop in
                begun.set(())
                do {
                    try await loop.sleep(for: .seconds(3_600))
                } catch {
                    ended.set(error is CancellationError)
                    throw error
                }
            }
            let running = Task { try await service.run() }
            _ = await begun.value
            running.cancel()
            #expect(await ended.value == true)
            await #expect(throws: CancellationError.self) { try await running.value }
        }

        @Test(.timeLimit(.minutes(1)))
        func anErrorOfTheBodyIsTheGroups() async throws {
            let group = group(LoopService { _ in throw Broken() })
            await #expect(throws: Broken.self) { try await group.run() }
        }

        @Test(.timeLimit(.minutes(1)))
        func severalLoopsShareThePortAndStopTogether() async throws {
            let names = Mutex<Set<String>>([])
            let started = Promise<Void>()
            let service = LoopService(name: "web", loops: 3) { loop in
                let server = TCPServer(port: 0)
                try server.bind()
                let isLast = names.withLock { names in
                    names.insert(loop.name)
                    return names.count == 3
                }
                if isLast { started.set(()) }
                try await server.serve { _ in }
            }
            let group = group(service)
            let running = Task { try await group.run() }
            _ = await started.value
            await group.triggerGracefulShutdown()
            try await running.value
            #expect(names.withLock { $0 } == ["web-0", "web-1", "web-2"])
        }
    }
#endif
