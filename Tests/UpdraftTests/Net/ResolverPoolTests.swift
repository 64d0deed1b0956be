import Glibc
import Synchronization
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

    /// A system that is asked and does not answer before it may.
    private final class SlowSystem: Sendable {
        private let names = Mutex<[String]>([])
        private let gate = Flag()

        var asked: [String] { names.withLock { $0 } }

        func open() { gate.set() }

        func answer(_ question: NameLookUp) -> [SocketAddress] {
            names.withLock { $0.append(question.host) }
            while !gate.isSet { usleep(500) }
            return ResolverPoolTests.answer
        }
    }

    /// Starts to ask for names; `ends` are what waits for them.
    private func ask(
        _ resolver: SystemResolver, _ loop: IOLoop, _ names: [String]
    ) -> [LoopFuture<[SocketAddress]>] {
        names.map { name in
            loop.async { try await resolver.resolve(name, port: 80, family: .any) }
        }
    }

    private nonisolated(nonsending) func giveUp(_ ends: [LoopFuture<[SocketAddress]>]) async {
        for end in ends { end.cancel() }
        for end in ends {
            #expect(await failure { try await end.value } is CancellationError)
        }
    }

    @Test func whatNobodyWaitsForAnyMoreIsNotLookedUp_K10() async throws {
        try await withLoop { loop in
            let system = SlowSystem()
            defer { system.open() }
            let resolver = try SystemResolver(loop, SystemResolver.Options()) {
                system.answer($0)
            }
            let running = (1...4).map { "running\($0).example" }
            let held = ask(resolver, loop, running)
            try await loop.turns(until: { system.asked.count == 4 })
            let dead = ask(resolver, loop, (1...100).map { "dead\($0).example" })
            try await loop.turns(2)
            await giveUp(held + dead)
            let good = ask(resolver, loop, ["good.example"])
            try await loop.turns(2)
            system.open()
            #expect(try await good[0].value == Self.answer)
            #expect(system.asked.dropFirst(4) == ["good.example"])
        }
    }

    @Test func aMergedLookUpGoesOnAsLongAsOneWaitsForIt_K10() async throws {
        try await withLoop { loop in
            let system = SlowSystem()
            defer { system.open() }
            let resolver = try SystemResolver(loop, SystemResolver.Options()) {
                system.answer($0)
            }
            let held = ask(resolver, loop, (1...4).map { "running\($0).example" })
            try await loop.turns(until: { system.asked.count == 4 })
            let same = ask(resolver, loop, Array(repeating: "same.example", count: 3))
            try await loop.turns(2)
            await giveUp([same[0], same[2]])
            system.open()
            #expect(try await same[1].value == Self.answer)
            for end in held { _ = try await end.value }
            #expect(system.asked.filter { $0 == "same.example" }.count == 1)
        }
    }

    @Test func aNameThatWasGivenUpIsAskedForAgain_K10() async throws {
        try await withLoop { loop in
            let system = SlowSystem()
            defer { system.open() }
            let resolver = try SystemResolver(loop, SystemResolver.Options()) {
                system.answer($0)
            }
            let held = ask(resolver, loop, (1...4).map { "running\($0).example" })
            try await loop.turns(until: { system.asked.count == 4 })
            // At once, before what was given up has ended.
            let again = loop.async {
                let error = await failure {
                    try await withTimeout(.milliseconds(5)) {
                        try await resolver.resolve("again.example", port: 80, family: .any)
                    }
                }
                #expect(error is TimeoutError)
                system.open()
                return try await resolver.resolve("again.example", port: 80, family: .any)
            }
            #expect(try await again.value == Self.answer)
            for end in held { _ = try await end.value }
            // A thread may have begun with the first one before it was withdrawn.
            #expect(5...6 ~= system.asked.count)
        }
    }

    @Test func aLookUpThatHasBegunIsThereForWhoAsksNext_K10() async throws {
        try await withLoop { loop in
            let system = SlowSystem()
            defer { system.open() }
            let resolver = try SystemResolver(loop, SystemResolver.Options()) {
                system.answer($0)
            }
            // Callers with less patience than the name server takes.
            for _ in 1...5 {
                let impatient = ask(resolver, loop, ["slow.example"])
                try await loop.turns(until: { system.asked.count == 1 })
                try await loop.turns(2)
                await giveUp(impatient)
            }
            let patient = ask(resolver, loop, ["slow.example"])
            try await loop.turns(2)
            system.open()
            #expect(try await patient[0].value == Self.answer)
            #expect(system.asked == ["slow.example"])
        }
    }

    @Test func tooManyQuestionsAreAnErrorOfTheLookUp_K10() async throws {
        try await withLoop { loop in
            let system = SlowSystem()
            defer { system.open() }
            let resolver = try SystemResolver(loop, SystemResolver.Options()) {
                system.answer($0)
            }
            let waiting = ask(resolver, loop, (1...1_028).map { "name\($0).example" })
            try await loop.turns(until: { system.asked.count == 4 })
            let error = await streamError {
                try await resolver.resolve("more.example", port: 80, family: .any)
            }
            #expect(error?.code == .cannotResolve)
            #expect(error?.message.contains("more.example") == true)
            #expect((error?.cause as? LoopError)?.code == .full)
            await giveUp(waiting)
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
