import Glibc
import Testing

@testable import Updraft

/// Nothing of a sleep is left when it was cancelled: contract rows E4, E5.
@Suite struct CancelledSleepTests {
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

    @Test func aMillionCancelledSleepsGiveTheirMemoryBack() async throws {
        try await withLoop(limit: .seconds(240)) { loop in
            // What is allocated once and kept.
            try await startAndCancelSleeps(5_000, on: loop)
            let before = try residentBytes()
            for _ in 0..<200 { try await startAndCancelSleeps(5_000, on: loop) }
            let after = try residentBytes()
            #expect(after < before + (4 << 20))
            #expect(loop.taskCount == 1)
            #expect(loop.timers.capacity <= 2 * 4_096)
            #expect(loop.executor.ready.capacity <= 1_024)
        }
    }
}
