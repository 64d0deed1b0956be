import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Where names are looked up, and for how long an answer holds: contract row K10.
@Suite struct ResolverPoolTests {
    private static let answer = [SocketAddress(unixPath: "/an/answer")]

    @Test func theLoopGoesOnWhileALookUpBlocks_K10() async throws {
        try await withLoop { loop in
            let (begun, end) = (Flag(), Flag())
            defer { end.set() }
            let own = pthread_self()
            let resolver = try SystemResolver(loop, SystemResolver.Options()) { _ in
                precondition(pthread_equal(pthread_self(), own) == 0)
                begun.set()
                while !end.isSet { sched_yield() }
                return Self.answer
            }
            let asking = loop.async {
                try await resolver.resolve("slow.example", port: 80, family: .any)
            }
            try await loop.turns(until: { begun.isSet })
            var ticks = 0
            let timer = try PeriodicCallback(every: .milliseconds(1)) { ticks += 1 }
            timer.start()
            try await loop.turns(until: { ticks == 3 })
            timer.stop()
            // Streams go on, too.
            let (near, far) = try await connectedPair(on: loop)
            try await near.write("x")
            #expect(try await far.read(exactly: 1) == "x".bytes)
            #expect(!asking.isDone)
            end.set()
            #expect(try await asking.value == Self.answer)
        }
    }

    @Test func namesAreLookedUpWhileTheLoopsPoolIsFull_K10() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(name: "full", size: 1, queueMax: 1)
            loop.setDefaultExecutor(pool)
            let (begun, end) = (Flag(), Flag())
            defer {
                end.set()
                pool.close()
            }
            let work = loop.async {
                try await loop.runInExecutor {
                    begun.set()
                    while !end.isSet { sched_yield() }
                }
            }
            try await loop.turns(until: { begun.isSet })
            try pool.submit {}
            let error = await failure { try await loop.runInExecutor {} } as? LoopError
            #expect(error?.code == .full)
            let resolver = try SystemResolver(loop, SystemResolver.Options()) { _ in Self.answer }
            let found = try await resolver.resolve("any.example", port: 80, family: .any)
            #expect(found == Self.answer)
            end.set()
            try await work.value
        }
    }

    @Test func anAnswerHoldsForFiveSeconds() async throws {
        try await withVirtualLoop { loop in
            let asked = Counter()
            let resolver = try SystemResolver(loop, SystemResolver.Options()) { _ in
                asked.add()
                return Self.answer
            }
            for (wait, expected) in [(0, 1), (4_999, 1), (1, 2), (4_999, 2), (1, 3)] {
                try await loop.sleep(for: .milliseconds(wait))
                _ = try await resolver.resolve("any.example", port: 80, family: .any)
                #expect(asked.value == expected)
            }
        }
    }
}
