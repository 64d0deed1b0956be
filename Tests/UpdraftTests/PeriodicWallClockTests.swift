import Foundation
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// The recipe of docs/periodic.md (`PeriodicRecipe.swift` is the snippet itself), in virtual time:
/// a wall clock that is the loop's clock plus a start, and that a test can set.
@Suite struct PeriodicWallClockTests {
    private static let berlin: Calendar = {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(identifier: "Europe/Berlin") ?? .gmt
        return calendar
    }()

    /// The local times at which an evening's action ran, from a start, for some days.
    private nonisolated(nonsending) func evenings(
        from start: String, days: Double, on loop: IOLoop, hour: Int = 21, minute: Int = 0,
        set clock: (_ day: Int) -> TimeInterval = { _ in 0 }
    ) async throws -> [String] {
        let calendar = PeriodicWallClockTests.berlin
        let local = DateFormatter()
        local.locale = Locale(identifier: "en_US_POSIX")
        local.timeZone = calendar.timeZone
        local.dateFormat = "yyyy-MM-dd HH:mm"
        let startDate = try #require(local.date(from: start))
        let begin = loop.now
        var offset: TimeInterval = 0
        let wall = {
            startDate.addingTimeInterval(offset + begin.duration(to: loop.now) / .seconds(1))
        }
        var ran: [String] = []
        let error = await failure {
            try await withTimeout(.seconds(days * 86_400)) {
                try await onTheWallClock(
                    loop, matching: DateComponents(hour: hour, minute: minute), in: calendar,
                    now: wall
                ) {
                    ran.append(local.string(from: wall()))
                    offset += clock(ran.count)
                }
            }
        }
        #expect(error is TimeoutError)
        return ran
    }

    @Test func everyEveningAtNineAlsoWhenAnHourIsSkippedInSpring() async throws {
        try await withVirtualLoop { loop in
            let ran = try await evenings(from: "2026-03-27 12:00", days: 4, on: loop)
            #expect(
                ran == [
                    "2026-03-27 21:00", "2026-03-28 21:00", "2026-03-29 21:00", "2026-03-30 21:00",
                ])
        }
    }

    @Test func everyEveningAtNineAlsoWhenAnHourComesTwiceInAutumn() async throws {
        try await withVirtualLoop { loop in
            let ran = try await evenings(from: "2026-10-23 22:00", days: 3.5, on: loop)
            #expect(ran == ["2026-10-24 21:00", "2026-10-25 21:00", "2026-10-26 21:00"])
        }
    }

    @Test func aTimeThatTheChangeSkipsRunsAtTheFirstMomentAfterIt() async throws {
        try await withVirtualLoop { loop in
            let ran = try await evenings(
                from: "2026-03-28 12:00", days: 2, on: loop, hour: 2, minute: 30)
            #expect(ran == ["2026-03-29 03:00", "2026-03-30 02:30"])
        }
    }

    @Test func aClockThatIsSetBackBringsNoEveningTwice() async throws {
        try await withVirtualLoop { loop in
            let ran = try await evenings(from: "2026-06-01 20:00", days: 2, on: loop) { day in
                day == 1 ? -1_800 : 0
            }
            #expect(ran == ["2026-06-01 21:00", "2026-06-02 21:00"])
        }
    }
}
