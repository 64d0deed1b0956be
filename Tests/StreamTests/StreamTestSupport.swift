import TestSupport
import Testing
import Updraft

/// Expects that the loop comes to hold what it held before, and no more.
nonisolated(nonsending) func expectNothingLeft(
    since before: Holdings, on loop: IOLoop, location: SourceLocation = #_sourceLocation
) async throws {
    let after = try await before.settled(on: loop)
    #expect(after <= before, "\(loop.dump())", sourceLocation: location)
}

/// Does `body` over and over, and expects that it comes to leave nothing behind: neither memory nor
/// descriptors, streams, tasks and timeouts. See `memoryGrowth` for the parameters.
nonisolated(nonsending) func expectNoGrowth(
    on loop: IOLoop, times: Int = 1, allowing bytesAllowed: Int = 2_000,
    location: SourceLocation = #_sourceLocation,
    _ body: nonisolated(nonsending) () async throws -> Void
) async throws {
    let before = Holdings(of: loop)
    let growth = try await memoryGrowth(on: loop, times: times, allowing: bytesAllowed, of: body)
    #expect(growth.hasEnded, "\(growth)", sourceLocation: location)
    try await expectNothingLeft(since: before, on: loop, location: location)
}
