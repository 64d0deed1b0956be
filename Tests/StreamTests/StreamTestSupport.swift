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
