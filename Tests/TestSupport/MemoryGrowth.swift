import CTestMemory
package import Updraft

/// What a piece of work leaves allocated when it is done over and over.
package struct MemoryGrowth: CustomStringConvertible {
    /// Bytes that a round may leave and count as none: what the allocator's and the runtime's
    /// caches gain and lose.
    package let bytesAllowed: Int
    /// What each round so far has allocated and not freed.
    package private(set) var rounds: [Int] = []

    package init(allowing bytesAllowed: Int) {
        self.bytesAllowed = bytesAllowed
    }

    /// Whether the last two rounds have left nothing. What leaks does so in every round; the first
    /// ones fill caches besides. One that frees a lot may hide what it leaks, and does not count;
    /// but nothing has so much to free that eight in a row could. Nor do caches that change what
    /// they hold from round to round gain anything in eight of them together.
    package var hasEnded: Bool {
        let quiet = -10 * bytesAllowed...bytesAllowed
        if rounds.count > 1, rounds.suffix(2).allSatisfy(quiet.contains) { return true }
        let last = rounds.suffix(8)
        guard rounds.count > 8 else { return false }
        return last.allSatisfy { $0 <= bytesAllowed }
            || last.allSatisfy { $0 >= quiet.lowerBound } && last.reduce(0, +) <= bytesAllowed
    }

    package var description: String { "bytes that stayed in each round: \(rounds)" }

    fileprivate mutating func add(_ bytes: Int) { rounds.append(bytes) }
}

/// Does `body` in rounds until memory grows no more, 12 of them at the most.
///
/// The traces that the testing library keeps of errors are not made meanwhile.
///
/// - Parameters:
///   - times: How often the body is done in a round, so that what little it leaks exceeds what is
///     allowed.
///   - bytesAllowed: As in `MemoryGrowth`.
package nonisolated(nonsending) func memoryGrowth(
    on loop: IOLoop, times: Int = 1, allowing bytesAllowed: Int = 400,
    of body: nonisolated(nonsending) () async throws -> Void
) async throws -> MemoryGrowth {
    var growth = MemoryGrowth(allowing: bytesAllowed)
    let hooks = tm_take_throw_hooks()
    defer { tm_restore_throw_hooks(hooks) }
    let before = Holdings(of: loop)
    var allocated = Int(tm_allocated_bytes())
    while !growth.hasEnded, growth.rounds.count < 12 {
        for _ in 0..<times { try await body() }
        // What still closes is no leak.
        _ = try await before.settled(on: loop)
        let now = Int(tm_allocated_bytes())
        growth.add(now - allocated)
        allocated = now
    }
    return growth
}
