import CUpdraft
import Glibc
import TestSupport
import Testing
import Updraft

/// Every poller by itself. Contract rows A15, B6, C1, C4, C5, C8, H2-H5.
@Suite struct PollerTests {
    @Test(arguments: PollerKind.tested)
    func levelReportsAgainWhileReadyAndExactlyWhatIsAskedFor_C5(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind)
        let pair = SocketPair()
        try probe.poller.add(pair.near, events: .read, mode: .level, token: 7)
        #expect(try probe.ready() == [:])
        pair.send()
        for _ in 0..<3 { #expect(try probe.ready(within: .seconds(5)) == [7: .read]) }
        pair.receive()
        #expect(try probe.ready() == [:])
    }

    @Test(arguments: PollerKind.tested)
    func bothDirectionsOfADescriptorAreOneEvent_H5(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind)
        let pair = SocketPair()
        let other = SocketPair()
        try probe.poller.add(pair.near, events: [.read, .write], mode: .level, token: 1)
        try probe.poller.add(other.near, events: [.read, .write], mode: .level, token: 2)
        pair.send()
        #expect(try probe.ready(within: .seconds(5)) == [1: [.read, .write], 2: .write])
        other.send()
        pair.receive()
        #expect(try probe.ready(within: .seconds(5)) == [1: .write, 2: [.read, .write]])
    }

    @Test(arguments: PollerKind.tested)
    func modifyReplacesMaskModeAndToken_C2(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind)
        let pair = SocketPair()
        pair.send()
        try probe.poller.add(pair.near, events: .write, mode: .level, token: 1)
        #expect(try probe.ready() == [1: .write])
        try probe.poller.modify(pair.near, events: .read, mode: .level, token: 2)
        #expect(try probe.ready() == [2: .read])
        try probe.poller.modify(pair.near, events: [], mode: .level, token: 3)
        #expect(try probe.ready() == [:])
        try probe.poller.modify(pair.near, events: [.read, .write], mode: .level, token: 4)
        #expect(try probe.ready() == [4: [.read, .write]])
        try probe.poller.modify(pair.near, events: .read, mode: .edge, token: 5)
        #expect(try probe.ready() == [5: .read])
        #expect(try probe.ready() == [:])
        try probe.poller.modify(pair.near, events: .read, mode: .level, token: 6)
        for _ in 0..<2 { #expect(try probe.ready() == [6: .read]) }
    }

    @Test(arguments: PollerKind.tested)
    func removedDescriptorsAreSilentAndCanBeAddedAgain(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind)
        let pair = SocketPair()
        pair.send()
        try probe.poller.add(pair.near, events: [.read, .write], mode: .level, token: 1)
        try probe.poller.remove(pair.near)
        #expect(try probe.ready() == [:])
        try probe.poller.add(pair.near, events: .read, mode: .level, token: 2)
        #expect(try probe.ready() == [2: .read])
    }

    @Test(arguments: PollerKind.tested)
    func mistakesAreErrorsAndChangeNothing_C8(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind)
        let pair = SocketPair()
        #expect(probe.errno { try $0.remove(pair.near) } == ENOENT)
        #expect(
            probe.errno { try $0.modify(pair.near, events: .read, mode: .level, token: 0) }
                == ENOENT)
        try probe.poller.add(pair.near, events: .write, mode: .level, token: 1)
        #expect(
            probe.errno { try $0.add(pair.near, events: .read, mode: .level, token: 2) } == EEXIST)
        #expect(try probe.ready() == [1: .write])
        let closed = RareNumber(pair.far).closed()
        #expect(
            probe.errno { try $0.add(closed, events: .read, mode: .level, token: 3) } == EBADF)
        #expect(probe.errno { try $0.add(-1, events: .read, mode: .level, token: 3) } == EBADF)
        let file = open("/proc/self/status", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        #expect(probe.errno { try $0.add(file, events: .read, mode: .level, token: 3) } == EPERM)
        let message = probe.failure { try $0.add(closed, events: [], mode: .level, token: 3) }
        #expect(message.map { "\($0)".contains("\(closed)") } == true)
    }

    // MARK: Edges

    @Test(arguments: PollerKind.tested)
    func edgeReportsOnceUntilDrainedAndRearmed(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind)
        let pair = SocketPair()
        try probe.poller.add(
            pair.near, events: [.read, .write, .readHangup, .error], mode: .edge, token: 1)
        #expect(try probe.ready() == [1: .write])
        #expect(try probe.ready() == [:])
        for _ in 0..<3 {
            pair.send()
            let events = try probe.ready(within: .seconds(5))[1]
            #expect(events?.contains(.read) == true)
            #expect(try probe.ready() == [:])
            #expect(pair.receive(100) == 1)
            #expect(pair.receive() == -1)
            if probe.poller.needsRearm { probe.poller.rearm(pair.near, events: .read) }
            #expect(try probe.ready() == [:])
        }
    }

    @Test(arguments: PollerKind.tested)
    func whatComesBetweenDrainingAndRearmingIsReported(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind)
        let pair = SocketPair()
        try probe.poller.add(pair.near, events: .read, mode: .edge, token: 1)
        pair.send()
        #expect(try probe.ready(within: .seconds(5)) == [1: .read])
        #expect(pair.receive() == 1)
        #expect(pair.receive() == -1)
        pair.send()
        if probe.poller.needsRearm { probe.poller.rearm(pair.near, events: .read) }
        #expect(try probe.ready(within: .seconds(5)) == [1: .read])
    }

    @Test(arguments: PollerKind.tested)
    func edgeReportsRoomAfterTheKernelTookNoMore(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind)
        let pair = SocketPair()
        try probe.poller.add(pair.near, events: [.read, .write], mode: .edge, token: 1)
        #expect(try probe.ready() == [1: .write])
        pair.fill()
        if probe.poller.needsRearm { probe.poller.rearm(pair.near, events: .write) }
        #expect(try probe.ready() == [:])
        pair.drainFar()
        #expect(try probe.ready(within: .seconds(5)) == [1: .write])
    }

    @Test(arguments: PollerKind.tested)
    func rearmingGivesNoMoreThanWasAskedFor(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind)
        let pair = SocketPair()
        try probe.poller.add(pair.near, events: .read, mode: .edge, token: 1)
        probe.poller.rearm(pair.near, events: [.read, .write])
        #expect(try probe.ready() == [:])
        probe.poller.rearm(-1, events: .read)
        probe.poller.rearm(60_000, events: .read)
        probe.poller.rearm(pair.far, events: .read)
        #expect(try probe.ready() == [:])
    }

    // MARK: Ends and failures

    @Test(arguments: PollerKind.tested)
    func theEndOfAStreamIsReadable(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind)
        let pair = SocketPair()
        try probe.poller.add(pair.near, events: .read, mode: .level, token: 1)
        pair.send(3)
        pair.closeFar()
        for _ in 0..<2 {
            let events = try probe.ready(within: .seconds(5))[1] ?? []
            #expect(events.contains(.read))
            // Nobody asked for it, and a handler might close before it has read (C4).
            #expect(!events.contains(.readHangup))
        }
        #expect(pair.receive(10) == 3)
        #expect(try probe.ready(within: .seconds(5))[1]?.contains(.read) == true)
        #expect(pair.receive(10) == 0)
    }

    @Test(arguments: PollerKind.tested.filter { $0 != .select })
    func theEndOfAStreamShowsToWhoAskedForIt(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind)
        let pair = SocketPair()
        try probe.poller.add(pair.near, events: [.read, .readHangup], mode: .edge, token: 1)
        #expect(shutdown(pair.far, Int32(SHUT_WR)) == 0)
        let events = try probe.ready(within: .seconds(5))[1] ?? []
        #expect(events.contains([.read, .readHangup]))
    }

    @Test(arguments: PollerKind.tested)
    func aPipeWhoseReaderIsGoneShowsToItsWriter(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind)
        let pipe = SystemPipe()
        try probe.poller.add(pipe.writeEnd, events: .write, mode: .level, token: 1)
        pipe.closeRead()
        let events = try probe.ready(within: .seconds(5))[1] ?? []
        #expect(events.contains(.write))
        #expect(events.meets(.error))
    }

    @Test(arguments: PollerKind.tested)
    func aDescriptorThatWasClosedWhileWatchedHarmsNobody(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind)
        let pair = SocketPair()
        let other = SocketPair()
        let number = RareNumber(pair.near)
        pair.closeNear()
        try probe.poller.add(number.descriptor, events: .read, mode: .level, token: 1)
        try probe.poller.add(other.near, events: .read, mode: .level, token: 2)
        let closed = number.closed()
        other.send()
        var found: [UInt64: IOEvents] = [:]
        for _ in 0..<3 { found.merge(try probe.ready()) { first, _ in first } }
        #expect(found[2] == .read)
        // select has to find it out, and says so once; the others forget it by themselves.
        #expect(found[1] == (kind == .select ? .error : nil))
        #expect(try probe.ready() == [2: .read])
        // Whether this fails is the system's; the number is free afterwards.
        _ = probe.errno { try $0.remove(closed) }
        let next = SystemPipe()
        #expect(dup2(next.writeEnd, closed) == closed)
        defer { close(closed) }
        try probe.poller.add(closed, events: .write, mode: .level, token: 3)
        #expect(try probe.ready() == [2: .read, 3: .write])
    }

    // MARK: Waiting

    @Test(arguments: PollerKind.tested, [1, 999, 1_500_000, 20_000_001])
    func timeoutsAreRoundedUp_E9(_ kind: PollerKind, nanoseconds: Int) throws {
        let probe = try PollerProbe(kind)
        let timeout = Duration.nanoseconds(nanoseconds)
        let clock = ContinuousClock()
        let start = clock.now
        #expect(try probe.ready(within: timeout) == [:])
        #expect(start.duration(to: clock.now) >= timeout)
    }

    @Test(arguments: PollerKind.tested)
    func aWaitWithoutLimitAndOneOfAgesEndWithAnEvent(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind)
        let pair = SocketPair()
        try probe.poller.add(pair.near, events: .read, mode: .level, token: 1)
        pair.send()
        #expect(try probe.ready(within: .nanoseconds(-1)) == [1: .read])
        #expect(try probe.ready(within: .nanoseconds(Int64.max)) == [1: .read])
    }

    @Test(arguments: PollerKind.tested)
    func aSignalEndsTheWaitWithoutAnEvent_B6(_ kind: PollerKind) async throws {
        try await onFreshThread {
            let probe = try PollerProbe(kind)
            let interruption = try Interruption()
            defer { interruption.stop() }
            let clock = ContinuousClock()
            let start = clock.now
            #expect(try probe.ready(within: .seconds(20)) == [:])
            #expect(start.duration(to: clock.now) < .seconds(20))
        }
    }

    @Test(arguments: PollerKind.tested)
    func ofManyWatchedOnlyTheActiveOnesAreReported_H6(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind, capacity: 256)
        let pairs = (0..<200).map { _ in SocketPair() }
        defer { withExtendedLifetime(pairs) {} }
        for (index, pair) in pairs.enumerated() {
            try probe.poller.add(pair.near, events: .read, mode: .level, token: UInt64(index))
        }
        #expect(try probe.tokens().isEmpty)
        for pair in pairs[100...] { pair.send() }
        #expect(try probe.tokens().sorted() == Array(100..<200))
        for pair in pairs[100...] { pair.receive() }
        #expect(try probe.tokens().isEmpty)
    }

    @Test func theBitsAreThoseOfEpoll_H3_C4() {
        #expect(IOEvents.read.rawValue == cu_epoll_read)
        #expect(IOEvents.write.rawValue == cu_epoll_write)
        #expect(IOEvents.error.rawValue == cu_epoll_error | cu_epoll_hangup)
        #expect(IOEvents.readHangup.rawValue == cu_epoll_read_hangup)
        #expect(IOEvents.shortReads.rawValue == cu_epoll_urgent)
        #expect(IOEvents.error.rawValue == 0x018, "without the peer's half-close")
    }

    @Test(arguments: PollerKind.tested)
    func moreReadyDescriptorsThanABatchHoldsAllHaveTheirTurn(_ kind: PollerKind) throws {
        let probe = try PollerProbe(kind, capacity: 3)
        let pairs = (0..<10).map { _ in SocketPair() }
        // Optimised code would close them after their last use.
        defer { withExtendedLifetime(pairs) {} }
        for (index, pair) in pairs.enumerated() {
            try probe.poller.add(pair.near, events: .read, mode: .level, token: UInt64(index))
            pair.send()
        }
        var seen: Set<UInt64> = []
        for _ in 0..<4 {
            let tokens = try probe.tokens()
            #expect((1...3).contains(tokens.count))
            seen.formUnion(tokens)
        }
        #expect(seen.count == 10)
    }
}

/// Sends a harmless signal to the thread that made it, again and again until it is stopped.
private final class Interruption: Sendable {
    private let pool: BlockingPool
    private let end = Flag()
    private let hasEnded = Flag()

    init() throws {
        signal(SIGWINCH) { _ in }
        // The threads of Swift's pool block signals, and so do threads that these start.
        var mask = sigset_t()
        sigemptyset(&mask)
        sigaddset(&mask, SIGWINCH)
        pthread_sigmask(SIG_UNBLOCK, &mask, nil)
        pool = try BlockingPool(name: "signals", size: 1)
        let target = pthread_self()
        let (end, hasEnded) = (end, hasEnded)
        try pool.submit {
            // More than one, because the first may come before the wait.
            while !end.isSet {
                pthread_kill(target, SIGWINCH)
                sched_yield()
            }
            hasEnded.set()
        }
    }

    func stop() {
        end.set()
        // A thread that has ended must not be sent anything.
        while !hasEnded.isSet { sched_yield() }
        pool.close()
    }
}
