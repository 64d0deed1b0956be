import TestSupport
import Updraft
import UpdraftTesting

/// The kind of error of a lock or queue that `body` throws; nil if it throws none.
nonisolated(nonsending) func syncFailure<R>(
    of body: nonisolated(nonsending) () async throws -> R
) async -> SyncError.Code? {
    (await failure(of: body) as? SyncError)?.code
}

/// What happened, in order. For tasks of one loop.
final class Log {
    private(set) var entries: [String] = []

    func add(_ entry: String) { entries.append(entry) }

    /// Writes what the task did, or the type of what ended it.
    nonisolated(nonsending) func record(
        _ entry: String, _ body: nonisolated(nonsending) () async throws -> Void
    ) async {
        do {
            try await body()
            add(entry)
        } catch {
            add("\(entry): \(type(of: error))")
        }
    }

    func take() -> [String] {
        defer { entries = [] }
        return entries
    }
}

/// How the wait of the first of two tasks ends in the turn in which something is handed out.
enum Ending: String, CaseIterable, Sendable {
    case cancelledBefore
    case cancelledAfter
    case timedOutBefore
    case timedOutAfter
    case scopeExpiredBefore
    case scopeExpiredAfter

    /// What becomes of two waits when one thing is handed out.
    var outcome: [String] {
        switch self {
        case .cancelledBefore: ["first: CancellationError", "second"]
        case .timedOutBefore, .scopeExpiredBefore: ["first: TimeoutError", "second"]
        case .cancelledAfter, .timedOutAfter, .scopeExpiredAfter: ["first"]
        }
    }
}

/// Lets two tasks wait, ends the wait of the first, and hands one thing out in the same turn,
/// before or after.
///
/// - Parameter wait: Gets the timeout to use, or nil.
/// - Returns: What came of the two waits until then: see `Ending.outcome`.
nonisolated(nonsending) func race(
    _ ending: Ending, on loop: IOLoop,
    wait: nonisolated(nonsending) @escaping (Duration?) async throws -> Void,
    handOut: @escaping () throws -> Void
) async throws -> [String] {
    let log = Log()
    let limit = Duration.seconds(1)
    // Equal deadlines are served in their order of insertion.
    if ending == .timedOutAfter || ending == .scopeExpiredAfter { loop.callLater(limit, handOut) }
    let first = loop.async {
        await log.record("first") {
            switch ending {
            case .timedOutBefore, .timedOutAfter: try await wait(limit)
            case .scopeExpiredBefore, .scopeExpiredAfter:
                try await withTimeout(limit) { try await wait(nil) }
            case .cancelledBefore, .cancelledAfter: try await wait(nil)
            }
        }
    }
    let second = loop.async { await log.record("second") { try await wait(nil) } }
    try await loop.turns(2)
    switch ending {
    case .cancelledBefore:
        first.cancel()
        try handOut()
    case .cancelledAfter:
        try handOut()
        first.cancel()
    case .timedOutBefore, .scopeExpiredBefore:
        loop.callLater(limit, handOut)
        try await loop.sleep(for: limit)
    case .timedOutAfter, .scopeExpiredAfter:
        try await loop.sleep(for: limit)
    }
    try await loop.turns(3)
    defer { second.cancel() }
    return log.take()
}

/// The ways in which a wait can end without what it waited for.
enum GivingUp: String, CaseIterable, Sendable {
    case cancelled
    case timedOut
    case scopeExpired

    /// Starts so many waits and lets all of them end.
    nonisolated(nonsending) func waits(
        _ count: Int, on loop: IOLoop,
        wait: nonisolated(nonsending) @escaping (Duration?) async throws -> Void
    ) async throws {
        let limit = Duration.milliseconds(1)
        let waits = (0..<count).map { _ in
            loop.async {
                switch self {
                case .cancelled: try await wait(nil)
                case .timedOut: try await wait(limit)
                case .scopeExpired: try await withTimeout(limit) { try await wait(nil) }
                }
            }
        }
        try await loop.turns(2)
        if self == .cancelled { for wait in waits { wait.cancel() } }
        for wait in waits { _ = await failure { try await wait.value } }
    }
}
