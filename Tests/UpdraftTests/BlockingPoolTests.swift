import Glibc
import Synchronization
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// `runInExecutor` and its pools. Contract rows S1-S5; 3.1 items 33-35.
@Suite struct BlockingPoolTests {
    // MARK: Results and errors

    /// Each waits for the other, so one after the other they would never end.
    @Test func twoBlockingFunctionsRunInParallel_33_34() async throws {
        try await withLoop { loop in
            let (left, right) = (Flag(), Flag())
            let old = loop.async {
                try await loop.runInExecutor {
                    left.set()
                    while !right.isSet { sched_yield() }
                    return "old"
                }
            }
            let native = try await loop.runInExecutor {
                right.set()
                while !left.isSet { sched_yield() }
                return "native"
            }
            #expect(native == "native")
            #expect(try await old.value == "old")
        }
    }

    @Test func aReplacedDefaultExecutorIsTheOneUsed_35() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(name: "mine", size: 1)
            let before = try await loop.runInExecutor { threadName() }
            #expect(before == "blocking")
            loop.setDefaultExecutor(pool)
            let replaced = try loop.defaultPool
            #expect(replaced === pool)
            let after = try await loop.runInExecutor { threadName() }
            #expect(after == "mine")
            pool.close()
        }
    }

    @Test func loopsThatShareAPoolLeaveItOpen_35() async throws {
        let pool = try BlockingPool(name: "shared", size: 1)
        for _ in 0..<2 {
            try await withLoop { loop in
                loop.setDefaultExecutor(pool)
                let name = try await loop.runInExecutor { threadName() }
                #expect(name == "shared")
            }
        }
        pool.close()
    }

    @Test func aLoopClosesThePoolItMadeItself() async throws {
        for replaces in [false, true] {
            let pool = try await withLoop { loop in
                let own = try loop.defaultPool
                if replaces { loop.setDefaultExecutor(try BlockingPool(size: 1)) }
                return own
            }
            #expect(failureCode { try pool.submit {} } == .closed)
        }
    }

    @Test func anErrorOfTheWorkReachesTheCallerOnItsLoop_S4() async throws {
        try await withLoop { loop in
            let error = await failure { try await loop.runInExecutor { throw Broken(number: 4) } }
            #expect(error as? Broken == Broken(number: 4))
            #expect(IOLoop.currentIfAny === loop)
        }
    }

    /// The handler's body blocks on the pool, its result is written on the loop (S2, S3); an error
    /// of the work ends that connection only (S4).
    @Test func aHandlerBlocksOnThePoolAndWritesOnTheLoop_S2_S3_S4() async throws {
        try await withLoop { loop in
            var failures: [any Error] = []
            loop.onUnhandledError = { error, _ in failures.append(error) }
            let server = TCPServer(port: 0)
            try server.listen { stream in
                let request = try await stream.read(exactly: 1)
                let reply = try await loop.runInExecutor {
                    guard request == [1] else { throw Broken(number: 7) }
                    return threadName()
                }
                #expect(IOLoop.currentIfAny === loop)
                try await stream.write(reply)
            }
            let bad = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            try await bad.write([0])
            #expect(try await bad.readToEnd() == [])
            let good = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            try await good.write([1])
            #expect(try await good.readToEnd() == "blocking".bytes)
            #expect(failures.map { $0 as? Broken } == [Broken(number: 7)])
            bad.close()
            good.close()
            server.stop()
        }
    }

    // MARK: Bounds

    @Test func aPoolNeverHasMoreThreadsThanItsSize_S1() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(size: 3)
            let names = Mutex<Set<UInt>>([])
            try await loop.group { group in
                for _ in 0..<100 {
                    group.spawn {
                        try await loop.runInExecutor(pool) {
                            names.withLock { _ = $0.insert(UInt(pthread_self())) }
                        }
                    }
                }
            }
            #expect((1...3).contains(names.withLock { $0.count }))
            try await pool.shutdown()
        }
    }

    @Test func aFullPoolFailsAtOnceWithAClearError_S1() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(name: "small", size: 1, queueMax: 2)
            let gate = Gate(pool, pieces: 3, on: loop)
            try await loop.turns(until: { pool.waitingCount == 2 })
            let error = await failure { try await loop.runInExecutor(pool) {} } as? LoopError
            #expect(error?.code == .full)
            #expect(error?.message == "2 pieces of work wait for the pool 'small' already.")
            #expect(failureCode { try pool.submit {} } == .full)
            try await gate.open()
            // Whoever is told of the end of one finds room for the next.
            for _ in 0..<1_000 { try await loop.runInExecutor(pool) {} }
            try await pool.shutdown()
        }
    }

    /// The places are those of the threads and of the queue, whether or not a thread has come so
    /// far as to take its work.
    @Test func aPoolHoldsItsSizeAndItsQueueAndNoMore_S1() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(size: 4, queueMax: 1)
            let gate = Gate(pool, pieces: 5, on: loop)
            try await loop.turns(2)
            #expect(failureCode { try pool.submit {} } == .full)
            try await gate.open()
            try await pool.shutdown()
        }
    }

    @Test func aFullPoolLetsItsCallersWaitInOrder_S1() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(size: 1, queueMax: 1, whenFull: .wait)
            let gate = Gate(pool, pieces: 1, on: loop)
            let order = Mutex<[Int]>([])
            let calls = (0..<50).map { number in
                loop.async {
                    try await loop.runInExecutor(pool) { order.withLock { $0.append(number) } }
                }
            }
            try await loop.turns(until: { pool.waitingCount == 50 })
            // Which waits for nothing, and so has nobody to tell when there is room.
            #expect(failureCode { try pool.submit {} } == .full)
            try await gate.open()
            for call in calls { try await call.value }
            #expect(order.withLock { $0 } == Array(0..<50))
            try await pool.shutdown()
        }
    }

    // MARK: Cancellation

    /// In the queue, and (with more than one) in the line for room.
    @Test(arguments: [1, 3])
    func cancelledWorkNeverRunsAndItsCallerIsAnsweredOnce_S2(calls: Int) async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(size: 1, queueMax: 1, whenFull: .wait)
            let gate = Gate(pool, pieces: 1, on: loop)
            let (ran, answers) = (Counter(), Counter())
            let futures = (0..<calls).map { _ in
                loop.async {
                    defer { answers.add() }
                    try await loop.runInExecutor(pool) { ran.add() }
                }
            }
            try await loop.turns(until: { pool.waitingCount == calls })
            for future in futures { future.cancel() }
            for future in futures {
                #expect(await failure { try await future.value } is CancellationError)
            }
            #expect(pool.waitingCount == 0, "what was taken back leaves its place to others")
            try await gate.open()
            try await pool.shutdown()
            #expect(ran.value == 0)
            #expect(answers.value == calls)
        }
    }

    @Test func placesInTheQueueThatAreGivenUpGoToThoseInLine_S2() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(size: 1, queueMax: 1, whenFull: .wait)
            let gate = Gate(pool, pieces: 1, on: loop)
            let first = loop.async { try await loop.runInExecutor(pool) { 1 } }
            try await loop.turns(until: { pool.waitingCount == 1 })
            let second = loop.async { try await loop.runInExecutor(pool) { 2 } }
            try await loop.turns(until: { pool.waitingCount == 2 })
            first.cancel()
            #expect(await failure { try await first.value } is CancellationError)
            try await gate.open()
            #expect(try await second.value == 2)
            try await pool.shutdown()
        }
    }

    @Test func aTimeLimitEndsTheCallWhileTheWorkGoesOn_S2() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(size: 1)
            let (begun, release, ended) = (Flag(), Flag(), Flag())
            let error = await failure {
                try await withTimeout(.milliseconds(1)) {
                    try await loop.runInExecutor(pool) {
                        begun.set()
                        while !release.isSet { sched_yield() }
                        ended.set()
                    }
                }
            }
            #expect(error is TimeoutError)
            #expect(!ended.isSet)
            release.set()
            try await pool.shutdown()
            #expect(ended.isSet == begun.isSet)
        }
    }

    @Test func aTaskThatIsCancelledAlreadyStartsNoWork_S2() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(size: 1)
            let ran = Counter()
            let call = loop.async {
                // Ends with the cancellation.
                _ = await failure { try await loop.sleep(for: .seconds(60)) }
                try await loop.runInExecutor(pool) { ran.add() }
            }
            try await loop.turns(3)
            call.cancel()
            #expect(await failure { try await call.value } is CancellationError)
            try await pool.shutdown()
            #expect(ran.value == 0)
        }
    }

    /// Every thread is stuck, and callers come and go: what they leave must not pile up.
    @Test func tenThousandGivenUpCallsLeaveNothingBehind_S2() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(size: 1, queueMax: 1)
            let gate = Gate(pool, pieces: 1, on: loop)
            let held = Held()
            var ended = 0
            for _ in 0..<10_000 {
                let token = Held.Token(held)
                let call = loop.async { try await loop.runInExecutor(pool) { token.touch() } }
                try await loop.nextTurn()
                call.cancel()
                if await failure(of: { try await call.value }) is CancellationError { ended += 1 }
            }
            #expect(ended == 10_000)
            #expect(held.count <= 1)
            try await gate.open()
            try await pool.shutdown()
        }
    }

    // MARK: The end of a pool

    @Test func shutdownWaitsForWhatRunsAndRefusesWhatIsNew_S1() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(name: "ending", size: 1, queueMax: 1, whenFull: .wait)
            let gate = Gate(pool, pieces: 2, on: loop)
            try await loop.turns(until: { pool.waitingCount == 1 })
            let inLine = loop.async { try await loop.runInExecutor(pool) {} }
            try await loop.turns(until: { pool.waitingCount == 2 })
            let isDown = Flag()
            let shutdown = loop.async {
                try await pool.shutdown()
                isDown.set()
            }
            let refused = await failure { try await inLine.value } as? LoopError
            #expect(refused?.code == .closed)
            #expect(refused?.message == "The pool 'ending' is closed.")
            let new = await failure { try await loop.runInExecutor(pool) {} } as? LoopError
            #expect(new?.code == .closed)
            #expect(pool.runningCount == 1 && pool.waitingCount == 1 && !isDown.isSet)
            try await gate.open()
            try await shutdown.value
            #expect(gate.endedCount == 2)
            // Once more, and with nothing to wait for.
            try await pool.shutdown()
        }
    }

    @Test func aShutdownThatIsCancelledClosesThePoolAllTheSame_S1() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(size: 1)
            let gate = Gate(pool, pieces: 1, on: loop)
            try await loop.turns(until: { pool.runningCount == 1 })
            let error = await failure {
                try await withTimeout(.milliseconds(1)) { try await pool.shutdown() }
            }
            #expect(error is TimeoutError)
            #expect(failureCode { try pool.submit {} } == .closed)
            try await gate.open()
        }
    }

    @Test func aPoolWithoutThreadsIsAMistakeThatIsNamed() async {
        let result = await #expect(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            _ = try BlockingPool(size: 0)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("A BlockingPool was made with 0 threads and a queue of 1024"))
    }
}

/// Keeps the threads of a pool busy until it is opened.
private final class Gate {
    private let release = Flag()
    private let ended = Counter()
    private var calls: [LoopFuture<Void>] = []

    var endedCount: Int { ended.value }

    init(_ pool: BlockingPool, pieces: Int, on loop: IOLoop) {
        calls = (0..<pieces).map { _ in
            loop.async { [release, ended] in
                try await loop.runInExecutor(pool) {
                    while !release.isSet { sched_yield() }
                    ended.add()
                }
            }
        }
    }

    nonisolated(nonsending) func open() async throws {
        release.set()
        for call in calls { try await call.value }
    }
}

/// Counts objects that have not been freed.
private final class Held: Sendable {
    private let number = Atomic(0)
    var count: Int { number.load(ordering: .sequentiallyConsistent) }

    final class Token: Sendable {
        private let held: Held
        init(_ held: Held) {
            self.held = held
            held.number.add(1, ordering: .sequentiallyConsistent)
        }
        deinit { held.number.subtract(1, ordering: .sequentiallyConsistent) }
        func touch() {}
    }
}

/// The name of the calling thread, as the system has it.
func threadName() -> String {
    guard let file = fopen("/proc/thread-self/comm", "r") else { return "?" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count).prefix { $0 != 10 }, as: UTF8.self)
}

private func failureCode(of body: () throws -> Void) -> LoopError.Code? {
    do {
        try body()
        return nil
    } catch {
        return (error as? LoopError)?.code
    }
}
