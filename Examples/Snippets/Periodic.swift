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

/// Runs an action whenever the time of day matches, until it is cancelled.
final class WallClockAlarm {
    private let loop: IOLoop
    private let time: DateComponents
    private let calendar: Calendar
    private let now: () -> Date
    private let action: () throws -> Void
    private var due: Date?
    private var timeout: Timeout?

    init(
        _ loop: IOLoop, matching time: DateComponents, in calendar: Calendar,
        now: @escaping () -> Date = { Date() }, action: @escaping () throws -> Void
    ) {
        self.loop = loop
        self.time = time
        self.calendar = calendar
        self.now = now
        self.action = action
        setDue(after: now())
        arm()
    }

    func cancel() {
        due = nil
        if let timeout { loop.removeTimeout(timeout) }
    }

    private func setDue(after date: Date) {
        due = calendar.nextDate(after: date, matching: time, matchingPolicy: .nextTime)
    }

    private func arm() {
        guard let due else { return }
        // Not in one step: the loop's clock does not see when the time of day is set.
        let step = min(due.timeIntervalSince(now()), 60)
        timeout = loop.callAt(loop.now.advanced(by: .seconds(step))) { [self] in try look() }
    }

    private func look() throws {
        defer { arm() }
        let date = now()
        guard let due, due <= date else { return }
        // A clock that is set back during the action must not bring the same evening twice.
        setDue(after: max(due, date))
        try action()
    }
}

func closeTheShopEveryEvening(loop: IOLoop) -> WallClockAlarm {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = TimeZone(identifier: "Europe/Berlin") ?? .gmt
    return WallClockAlarm(loop, matching: DateComponents(hour: 21), in: calendar) {
        print("closing time")
    }
}
