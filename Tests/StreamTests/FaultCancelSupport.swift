import TestSupport
import Testing
import Updraft

/// Cancels a wait before it begins, then in the middle, and expects that it says so.
nonisolated(nonsending) func expectCancellation(
    on loop: IOLoop, _ name: String, location: SourceLocation = #_sourceLocation,
    of body: nonisolated(nonsending) @escaping () async throws -> Void
) async throws {
    for isEarly in [true, false] {
        try await expectCancellation(on: loop, name, early: isEarly, location: location, of: body)
    }
}

/// Cancels a wait before it begins or in the middle, and expects that it says so.
nonisolated(nonsending) func expectCancellation(
    on loop: IOLoop, _ name: String, early isEarly: Bool,
    location: SourceLocation = #_sourceLocation,
    of body: nonisolated(nonsending) @escaping () async throws -> Void
) async throws {
    let answers = Answers()
    let task = answers.ask(name, on: loop, body)
    if !isEarly { try await loop.turns(6) }
    #expect(!answers.isComplete, "\(name) does not wait", sourceLocation: location)
    task.cancel()
    try await loop.turns(until: { answers.isComplete })
    #expect(
        answers.texts == [name: "CancellationError"], "early: \(isEarly)",
        sourceLocation: location)
}
