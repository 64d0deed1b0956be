// The code of docs/periodic.md.

import Foundation
import Updraft

func reportEveryTenSeconds() throws -> PeriodicCallback {
    let report = try PeriodicCallback(every: .seconds(10), jitter: 0.1) {
        print("still here")
    }
    report.start()
    return report
}

nonisolated(nonsending) func sendStatus(to stream: IOStream, loop: IOLoop) async throws {
    for try await _ in try loop.ticks(every: .seconds(1)) {
        try await stream.write("up \(loop.uptime)\n")
    }
}

/// Calls `action` whenever the time of day matches, as long as the task is not cancelled.
nonisolated(nonsending) func onTheWallClock(
    _ loop: IOLoop, matching time: DateComponents, in calendar: Calendar,
    now: () -> Date = { Date() }, action: () async throws -> Void
) async throws {
    var last = now()
    while let due = calendar.nextDate(after: last, matching: time, matchingPolicy: .nextTime) {
        var left = due.timeIntervalSince(now())
        while left > 0 {
            // Not in one sleep: the loop's clock does not see when the time of day is set.
            try await loop.sleep(for: .seconds(min(left, 60)))
            left = due.timeIntervalSince(now())
        }
        try await action()
        // A clock that was set back must not bring the same evening twice.
        last = max(due, now())
    }
}

nonisolated(nonsending) func closeTheShopEveryEvening(loop: IOLoop) async throws {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = TimeZone(identifier: "Europe/Berlin") ?? .gmt
    try await onTheWallClock(loop, matching: DateComponents(hour: 21), in: calendar) {
        print("closing time")
    }
}
