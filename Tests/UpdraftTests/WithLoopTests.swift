import TestSupport
import Testing
import Updraft
import UpdraftTesting

@Suite struct WithLoopTests {
    @Test func returnsTheBodysValue() async throws {
        let value = try await withLoop { loop in
            try await loop.sleep(for: .milliseconds(1))
            return 42
        }
        #expect(value == 42)
    }

    @Test func throwsTheBodysError() async throws {
        struct Broken: Error {}
        await #expect(throws: Broken.self) {
            try await withLoop { _ in throw Broken() }
        }
    }

    @Test func endsABodyThatWaitsForEver() async throws {
        await #expect(throws: TimeoutError.self) {
            try await withLoop(timeLimit: .milliseconds(20)) { loop in
                try await loop.sleep(for: .seconds(3_600))
            }
        }
    }

    @TaskLocal static var mark = 0

    @Test func theBodyInheritsTaskLocals() async throws {
        let seen = try await Self.$mark.withValue(5) {
            try await withLoop { loop in
                try await loop.nextTurn()
                return Self.mark
            }
        }
        #expect(seen == 5)
    }

    @Test func doesNotWaitForABodyThatBlocksItsThread() async throws {
        let release = Flag()
        await #expect(throws: TimeoutError.self) {
            try await withLoop(timeLimit: .milliseconds(20)) { _ in
                while !release.isSet {}
            }
        }
        release.set()
    }

    @Test func endsWithTheCallingTask() async throws {
        let entered = Flag()
        let task = Task {
            try await withLoop { loop in
                entered.set()
                try await loop.sleep(for: .seconds(3_600))
            }
        }
        while !entered.isSet { await Task.yield() }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    /// Contract row 3.1.e1.
    @Test func virtualTimeJumpsFromDeadlineToDeadline() async throws {
        // 82 years: it ends at all only because no real time passes.
        let elapsed = try await withVirtualLoop { loop in
            let start = loop.now
            for _ in 0..<1_000 { try await loop.sleep(for: .seconds(2_592_000)) }
            return start.duration(to: loop.now)
        }
        #expect(elapsed == .seconds(2_592_000_000))
    }

    @Test func aNanosecondOfVirtualTimeWaitsUntilTheLoopHasNothingToDo() async throws {
        try await withVirtualLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 16)
            loop.spawn { try await near.write([UInt8](repeating: 7, count: 10_000)) }
            var got = 0
            loop.spawn { for try await chunk in far.chunks { got += chunk.count } }
            try await loop.sleep(for: .nanoseconds(1))
            #expect(got == 10_000)
        }
    }
}
