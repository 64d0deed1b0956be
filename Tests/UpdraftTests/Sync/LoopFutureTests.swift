import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract 3.7, concurrent: what is useful of it where tasks take the place of futures.
@Suite struct LoopFutureTests {
    @Test func aResultThatComesAfterItsWaiterWasCancelledIsIgnored_3_7() async throws {
        try await withVirtualLoop { loop in
            let work = loop.async {
                try await loop.sleep(for: .seconds(2))
                return 7
            }
            let waiter = loop.async { try await work.value }
            try await loop.turns(2)
            waiter.cancel()
            #expect(await failure { try await waiter.value } is CancellationError)
            #expect(!work.isDone)
            // The work itself was not cancelled, and others get its result.
            #expect(try await work.value == 7)
        }
    }

    @Test func aResultThatComesAfterTheWorkWasCancelledDoesNoHarm_3_7() async throws {
        try await withVirtualLoop { loop in
            let work = loop.async {
                _ = await failure { try await loop.sleep(for: .seconds(2)) }
                return 7
            }
            try await loop.turns(2)
            work.cancel()
            #expect(try await work.value == 7)
            work.cancel()
            #expect(try await work.value == 7)
        }
    }

    @Test func severalTasksGetOneResultInTheOrderOfWaiting_3_7() async throws {
        try await withVirtualLoop { loop in
            let log = Log()
            let work = loop.async {
                try await loop.sleep(for: .seconds(1))
                return 7
            }
            for name in ["a", "b", "c"] { loop.spawn { log.add("\(name)\(try await work.value)") } }
            #expect(try await work.value == 7)
            try await loop.turns(2)
            #expect(log.take() == ["a7", "b7", "c7"])
        }
    }

    @Test func resultsAndErrorsPassThroughAChain_3_7() async throws {
        try await withLoop { loop in
            // A task of the language, a future of the loop, and work of a pool.
            let task = Task { 3 }
            let future = loop.async { await task.value * 5 }
            let product = try await future.value
            let pooled = loop.async { try await loop.runInExecutor { product * 7 } }
            #expect(try await pooled.value == 105)
            let broken = loop.async { () async throws -> Int in
                try await loop.runInExecutor { throw Broken(number: 1) }
            }
            let outer = loop.async { try await broken.value }
            #expect(await failure { try await outer.value } as? Broken == Broken(number: 1))
        }
    }

    /// The four styles of a client: a future or a wait, each with a result and an error.
    @Test(arguments: [false, true], [false, true])
    func aClientMayWaitNowOrLaterAndGetsResultOrError_3_7(
        waitsLater: Bool, fails: Bool
    ) async throws {
        try await withVirtualLoop { loop in
            func capitalise(_ text: String) async throws -> String {
                try await loop.sleep(for: .seconds(1))
                if fails { throw Broken() }
                return text.uppercased()
            }
            var text: String?
            let error = await failure {
                if waitsLater {
                    let future = loop.async { try await capitalise("hello") }
                    try await loop.sleep(for: .seconds(5))
                    #expect(future.isDone)
                    text = try await future.value
                } else {
                    text = try await capitalise("hello")
                }
            }
            #expect(text == (fails ? nil : "HELLO"))
            #expect((error is Broken) == fails)
        }
    }

    @Test func workRunsOnThePoolThatTheLoopWasGiven_3_7() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(name: "own", size: 1, queueMax: 1)
            loop.setDefaultExecutor(pool)
            #expect(try await loop.runInExecutor { 7 } == 7)
            pool.close()
            // Its end shows whose pool it was.
            #expect(await failure { try await loop.runInExecutor { 7 } } is LoopError)
        }
    }
}
