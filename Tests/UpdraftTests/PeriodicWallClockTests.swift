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

    private static let local: DateFormatter = {
        let local = DateFormatter()
        local.locale = Locale(identifier: "en_US_POSIX")
        local.timeZone = berlin.timeZone
        local.dateFormat = "yyyy-MM-dd HH:mm"
        return local
    }()

    /// A time of day that goes with the loop's clock until it is set.
    private final class WallClock {
        private let loop: IOLoop
        private let start: Date
        private let begin: LoopInstant
        private var offset: TimeInterval = 0

        init(_ loop: IOLoop, _ start: String) throws {
            self.loop = loop
            self.start = try #require(PeriodicWallClockTests.local.date(from: start))
            begin = loop.now
        }

        var date: Date {
            start.addingTimeInterval(offset + begin.duration(to: loop.now) / .seconds(1))
        }

        var text: String { PeriodicWallClockTests.local.string(from: date) }

        func set(by seconds: TimeInterval) { offset += seconds }
    }

    private func alarm(
        _ loop: IOLoop, _ wall: WallClock, hour: Int = 21, minute: Int = 0,
        action: @escaping () throws -> Void
    ) -> WallClockAlarm {
        WallClockAlarm(
            loop, matching: DateComponents(hour: hour, minute: minute),
            in: PeriodicWallClockTests.berlin, now: { wall.date }, action: action)
    }

    /// The local times at which an evening's action ran, from a start, for some days.
    private nonisolated(nonsending) func evenings(
        from start: String, days: Double, on loop: IOLoop, hour: Int = 21, minute: Int = 0
    ) async throws -> [String] {
        let wall = try WallClock(loop, start)
        var ran: [String] = []
        let alarm = alarm(loop, wall, hour: hour, minute: minute) { ran.append(wall.text) }
        try await loop.sleep(for: .seconds(days * 86_400))
        alarm.cancel()
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

    @Test func aTimeThatComesTwiceRunsOnce() async throws {
        try await withVirtualLoop { loop in
            let ran = try await evenings(
                from: "2026-10-24 12:00", days: 2, on: loop, hour: 2, minute: 30)
            #expect(ran == ["2026-10-25 02:30", "2026-10-26 02:30"])
        }
    }

    @Test func aClockThatIsSetBackBringsNoEveningTwice() async throws {
        try await withVirtualLoop { loop in
            let wall = try WallClock(loop, "2026-06-01 20:00")
            var ran: [String] = []
            let alarm = alarm(loop, wall) {
                ran.append(wall.text)
                if ran.count == 1 { wall.set(by: -1_800) }
            }
            try await loop.sleep(for: .seconds(2 * 86_400))
            alarm.cancel()
            #expect(ran == ["2026-06-01 21:00", "2026-06-02 21:00"])
        }
    }

    @Test func aClockThatIsSetMeanwhileIsFollowedWithinAMinute() async throws {
        try await withVirtualLoop { loop in
            let wall = try WallClock(loop, "2026-06-01 15:00")
            var ran: [String] = []
            let alarm = alarm(loop, wall) { ran.append(wall.text) }
            try await loop.sleep(for: .seconds(30))
            wall.set(by: 5.99 * 3_600)  // 20:59:54
            try await loop.sleep(for: .seconds(60))
            #expect(ran == ["2026-06-01 21:00"])
            wall.set(by: -86_400)  // One evening back: it has been.
            try await loop.sleep(for: .seconds(86_400))
            #expect(ran == ["2026-06-01 21:00"])
            wall.set(by: 23.9 * 3_600)
            try await loop.sleep(for: .seconds(720))
            #expect(ran == ["2026-06-01 21:00", "2026-06-02 21:00"])
            alarm.cancel()
        }
    }

    @Test func anActionThatFailsIsReportedAndTheNextEveningComes() async throws {
        try await withVirtualLoop { loop in
            var errors: [String] = []
            loop.onUnhandledError = { error, _ in errors.append("\(error)") }
            let wall = try WallClock(loop, "2026-06-01 20:00")
            let alarm = alarm(loop, wall) { throw Late() }
            try await loop.sleep(for: .seconds(2 * 86_400))
            #expect(errors == ["Late()", "Late()"])
            alarm.cancel()
            try await loop.sleep(for: .seconds(86_400))
            #expect(errors.count == 2)
        }
    }
}

private struct Late: Error {}
