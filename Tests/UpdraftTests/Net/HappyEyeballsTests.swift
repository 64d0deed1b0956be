import Testing

@testable import Updraft

/// The plan alone, without input and output: conformance list 3.4, 13-30.
@Suite struct HappyEyeballsTests {
    /// Indexes 0 and 2 are IPv4 and come first; 1 and 3 are IPv6.
    private static let mixed = ["127.0.0.1", "::1", "127.0.0.2", "::2"].map(address)
    private static let alike = ["127.0.0.1", "127.0.0.2"].map(address)

    private static func address(_ host: String) -> SocketAddress {
        (try? SocketAddress(host: host, port: 80)) ?? SocketAddress(unixPath: host)
    }

    @Test func addressesOfOneFamilyAreTriedInOrderWithoutATimer_13() {
        var plan = HappyEyeballs(Self.alike)
        #expect(plan.start() == [.dial(0)])
        #expect(plan.failed(0) == [.dial(1)])
        #expect(plan.failed(1) == [.fail])
    }

    @Test func mixedFamiliesKeepTheirOrderEach_14() {
        var plan = HappyEyeballs(Self.mixed)
        #expect(plan.start() == [.startTimer, .dial(0)])
        #expect(plan.pauseEnded() == [.dial(1)])
        #expect(plan.failed(0) == [.dial(2)])
        #expect(plan.failed(1) == [.dial(3)])
        #expect(plan.failed(3) == [])
        #expect(plan.failed(2) == [.fail])
    }

    @Test func theFirstAddressMaySucceedAtOnce_15() {
        var plan = HappyEyeballs(Self.mixed)
        _ = plan.start()
        #expect(plan.connected(0) == [.stopTimer, .succeed(0)])
    }

    @Test func aSingleAddressMayFail_16() {
        var plan = HappyEyeballs([Self.alike[0]])
        #expect(plan.start() == [.dial(0)])
        #expect(plan.failed(0) == [.fail])
    }

    @Test func theSecondAddressOfAFamilyIsTriedAfterAFailure_17() {
        var plan = HappyEyeballs(Self.alike)
        _ = plan.start()
        #expect(plan.failed(0) == [.dial(1)])
        #expect(plan.connected(1) == [.succeed(1)])
    }

    @Test func withoutASecondFamilyThePauseDoesNothing_19() {
        var plan = HappyEyeballs(Self.alike)
        _ = plan.start()
        #expect(plan.pauseEnded() == [])
    }

    @Test func anEarlyFailureStartsBothFamilies_20() {
        var plan = HappyEyeballs(Self.mixed)
        _ = plan.start()
        #expect(plan.failed(0) == [.dial(2), .stopTimer, .dial(1)])
        #expect(plan.pauseEnded() == [])
    }

    @Test func afterThePauseTheOtherFamilyMayWinAndTheLateFailureIsIgnored_21() {
        var plan = HappyEyeballs(Self.mixed)
        _ = plan.start()
        _ = plan.pauseEnded()
        #expect(plan.connected(1) == [.abandon(0), .succeed(1)])
        #expect(plan.failed(0) == [])
    }

    @Test func aSecondConnectionIsAbandoned_22() {
        var plan = HappyEyeballs(Self.mixed)
        _ = plan.start()
        _ = plan.pauseEnded()
        #expect(plan.connected(0) == [.abandon(1), .succeed(0)])
        #expect(plan.connected(1) == [.abandon(1)])
    }

    @Test func itFailsOnlyWhenBothListsAreUsedUp_23() {
        var plan = HappyEyeballs([Self.mixed[0], Self.mixed[1]])
        _ = plan.start()
        #expect(plan.failed(0) == [.stopTimer, .dial(1)])
        #expect(plan.failed(1) == [.fail])
    }

    @Test func givingUpAbandonsWhatIsUnderWayAndTriesNoMore_24_28_30() {
        var early = HappyEyeballs(Self.mixed)
        _ = early.start()
        #expect(early.giveUp() == [.stopTimer, .abandon(0)])
        #expect(early.pauseEnded() == [])
        #expect(early.failed(0) == [])
        var late = HappyEyeballs(Self.mixed)
        _ = late.start()
        _ = late.pauseEnded()
        #expect(late.giveUp() == [.abandon(0), .abandon(1)])
        #expect(late.giveUp() == [])
    }

    @Test func noAddressIsAFailure() {
        var plan = HappyEyeballs([])
        #expect(plan.start() == [.fail])
    }
}
