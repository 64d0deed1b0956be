// Unsafe: while the test runs, the runtime's hook for thrown errors is taken out. The pointer is to
// a variable of the runtime, which is there as long as the process.

import Glibc
import Testing
import UpdraftTesting

@testable import Updraft

/// Nothing of a sleep is left when it was cancelled: contract rows E4, E5.
@Suite struct CancelledSleepTests {
    /// Swift Testing keeps a backtrace of each error that is thrown, 300 bytes and 20 µs apiece,
    /// which would be all that is to be seen of a million.
    private struct UnwatchedErrors: ~Copyable {
        private typealias Hook = UnsafeMutablePointer<UnsafeRawPointer?>
        private let hooks: [(Hook, UnsafeRawPointer?)]

        init() {
            hooks = ["_swift_willThrow", "_swift_willThrowTypedImpl"].compactMap { name in
                guard let hook = dlsym(nil, name)?.assumingMemoryBound(to: UnsafeRawPointer?.self)
                else { return nil }
                defer { hook.pointee = nil }
                return (hook, hook.pointee)
            }
        }

        deinit {
            for (hook, old) in hooks { hook.pointee = old }
        }
    }

    /// Bytes of memory that the process has, from the second number of `statm`, in pages.
    private func residentBytes() throws -> Int {
        let file = try #require(fopen("/proc/self/statm", "r"))
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        let length = fread(&line, 1, line.count, file)
        let text = String(decoding: line.prefix(length).map(UInt8.init), as: UTF8.self)
        let pages = try #require(Int(text.split(separator: " ")[1]))
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }

    private nonisolated(nonsending) func startAndCancelSleeps(
        _ count: Int, on loop: IOLoop
    ) async throws {
        let tasks = (0..<count).map { _ in
            loop.spawn { try await loop.sleep(for: .seconds(3_600)) }
        }
        try await loop.nextTurn()
        #expect(loop.timers.count >= count)
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        #expect(loop.timers.count <= 1)
    }

    /// As many as a busy server has, each with its entry in the timers and its task.
    @Test func manySleepsAliveAtOnceGiveTheirPlacesBack() async throws {
        let unwatched = UnwatchedErrors()
        try await withLoop(timeLimit: .seconds(60)) { loop in
            try await startAndCancelSleeps(100_000, on: loop)
            // What shrinks does so with the use that follows, not within the cancellations.
            for _ in 0..<10 { try await startAndCancelSleeps(1_000, on: loop) }
            #expect(loop.taskCount == 1)
            #expect(loop.timers.capacity <= 2 * 4_096)
            #expect(loop.executor.ready.capacity <= 2_048)
        }
        _ = consume unwatched
    }

    @Test func aMillionCancelledSleepsGiveTheirMemoryBack() async throws {
        let unwatched = UnwatchedErrors()
        // A tenth under ThreadSanitizer, which takes a minute for a million: it looks for races.
        let rounds = isThreadSanitized ? 100 : 1_000
        try await withLoop(timeLimit: .seconds(240)) { loop in
            // What is allocated once and kept.
            for _ in 0..<10 { try await startAndCancelSleeps(1_000, on: loop) }
            let before = try residentBytes()
            for _ in 0..<rounds { try await startAndCancelSleeps(1_000, on: loop) }
            let after = try residentBytes()
            #expect(after < before + (4 << 20))
            #expect(loop.taskCount == 1)
            #expect(loop.timers.capacity <= 2 * 4_096)
            #expect(loop.executor.ready.capacity <= 2_048)
        }
        _ = consume unwatched
    }
}
