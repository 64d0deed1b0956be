import Testing

@testable import Updraft

/// Contract row F2, conformance list 3.1, 44-47: the arithmetic, in whole seconds.
@Suite struct PeriodicScheduleTests {
    private static let second: Int64 = 1_000_000_000

    /// The starts of runs that take (or move the clock by) so many seconds each, from 1000 on.
    private func starts(
        period: Duration = .seconds(10), jitter: Double = 0, randoms: [Double] = [],
        taking durations: [Int64]
    ) throws -> [Double] {
        var randoms = randoms[...]
        var schedule = try PeriodicSchedule(
            period: period, jitter: jitter, random: { randoms.popFirst() ?? .nan })
        schedule.start(at: 1_000 * PeriodicScheduleTests.second)
        var starts: [Double] = []
        for duration in durations {
            starts.append(Double(schedule.next) / Double(PeriodicScheduleTests.second))
            schedule.advance(past: schedule.next + duration * PeriodicScheduleTests.second)
        }
        return starts
    }

    @Test func theFirstRunIsDueOnePeriodAfterTheStart_F2_44() throws {
        #expect(try starts(taking: [0, 0, 0]) == [1_010, 1_020, 1_030])
    }

    @Test func overrunsSkipToTheNextMultiple_F2_45() throws {
        let durations: [Int64] = [9, 9, 10, 11, 20, 20, 35, 35, 0, 0, 0]
        #expect(
            try starts(taking: durations) == [
                1_010, 1_020, 1_030, 1_050, 1_070, 1_100, 1_130, 1_170, 1_210, 1_220, 1_230,
            ])
    }

    @Test func aClockThatGoesBackKeepsTheSchedule_F2_46() throws {
        #expect(
            try starts(taking: [-2, -1, -3, -2, 0]) == [1_010, 1_020, 1_030, 1_040, 1_050])
        #expect(try starts(taking: [-100, 0, 0]) == [1_010, 1_020, 1_030])
    }

    @Test func jitterMovesEachStepByItsFraction_F2_47() throws {
        let moved = try starts(jitter: 0.5, randoms: [0.5, 1, 0, 0.75, 0.5], taking: [0, 0, 0, 0])
        #expect(moved == [1_010, 1_022.5, 1_030, 1_041.25])
    }

    @Test func aPeriodIsAnyDuration_F1_48() throws {
        let spelled = Duration.seconds(60) + .seconds(23)
        #expect(try starts(period: spelled, taking: [0, 0]) == [1_083, 1_166])
        #expect(try starts(period: .milliseconds(500), taking: [0, 1]) == [1_000.5, 1_001])
    }

    @Test func withoutJitterNoRandomNumberIsAskedFor_F2() throws {
        var schedule = try PeriodicSchedule(period: .seconds(1)) {
            Issue.record("asked for a random number")
            return 0
        }
        schedule.start(at: 0)
        #expect(schedule.next == PeriodicScheduleTests.second)
    }

    @Test(arguments: [Duration.zero, .seconds(-1), .nanoseconds(-1)])
    func aPeriodThatIsNotPositiveIsAnError_F2(_ period: Duration) {
        let error = #expect(throws: LoopError.self) { try PeriodicSchedule(period: period) }
        #expect(error?.code == .invalidArgument)
    }

    @Test(arguments: [-0.1, 1.1, .nan, .infinity])
    func aJitterOutsideOfZeroToOneIsAnError_F2(_ jitter: Double) {
        let error = #expect(throws: LoopError.self) {
            try PeriodicSchedule(period: .seconds(1), jitter: jitter)
        }
        #expect(error?.code == .invalidArgument)
    }

    @Test func theEndsOfTheClockAreNoTrap_F2() throws {
        var schedule = try PeriodicSchedule(period: .seconds(Int64.max))
        schedule.start(at: 5)
        #expect(schedule.next == Int64.max)
        schedule = try PeriodicSchedule(period: .nanoseconds(1))
        schedule.start(at: Int64.min + 1)
        schedule.advance(past: Int64.max)
        #expect(schedule.next > Int64.min)
    }

    @Test func aRandomSourceOutOfItsRangeIsHeldInIt_F2() throws {
        #expect(try starts(jitter: 1, randoms: [7, -7, 1], taking: [0, 0]) == [1_015, 1_020])
    }
}
