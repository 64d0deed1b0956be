import CKeventStandIn
import Glibc
import TestSupport
import Testing
import Updraft

/// What only `kqueue` does, above the stand-in of `kevent(2)`. Contract row H4.
@Suite struct KqueuePollerTests {
    private let read = Int32(STAND_IN_EVFILT_READ)
    private let write = Int32(STAND_IN_EVFILT_WRITE)
    private let end = UInt32(STAND_IN_EV_EOF)
    private let error = UInt32(STAND_IN_EV_ERROR)

    /// What the poller makes of scripted events of one descriptor, watched for `wanted`.
    private func meaning(
        _ wanted: IOEvents, _ events: [(filter: Int32, flags: UInt32, fflags: UInt32)]
    ) throws -> IOEvents? {
        let probe = try PollerProbe(.kqueue)
        let pair = SocketPair()
        try probe.poller.add(pair.near, events: wanted, mode: .level, token: 9)
        for event in events {
            kevent_stand_in_script(pair.near, event.filter, event.flags, event.fflags, 0, 9)
        }
        let found = try probe.ready()
        #expect(found.count <= 1)
        return found[9]
    }

    @Test func flagsMeanWhatTheyMeanToEpoll_H4() throws {
        let both: IOEvents = [.read, .write]
        #expect(try meaning(both, [(read, 0, 0)]) == .read)
        #expect(try meaning(both, [(write, 0, 0)]) == .write)
        #expect(try meaning(both, [(read, 0, 0), (write, 0, 0)]) == both)
        #expect(try meaning(both, [(write, 0, 0), (read, 0, 0)]) == both)
        #expect(try meaning(both, [(read, end, 0)]) == .read)
        #expect(try meaning(both.union(.readHangup), [(read, end, 0)]) == [.read, .readHangup])
        #expect(try meaning(both, [(read, end, UInt32(ECONNRESET))]) == [.read, .error])
        // A refused connect has no other sign.
        #expect(try meaning(both, [(write, end, 0)]) == [.write, .error])
        #expect(try meaning(both, [(read, error, 0)])?.contains(.error) == true)
        #expect(try meaning(both, [(write, error, 0)])?.contains(.error) == true)
    }

    @Test func eventsOfSeveralDescriptorsArePutTogetherByDescriptor() throws {
        let probe = try PollerProbe(.kqueue)
        let pairs = (0..<4).map { _ in SocketPair() }
        for (index, pair) in pairs.enumerated() {
            try probe.poller.add(
                pair.near, events: [.read, .write], mode: .level, token: UInt64(index))
        }
        for (index, pair) in pairs.enumerated() {
            kevent_stand_in_script(pair.near, read, 0, 0, 0, UInt64(index))
        }
        for (index, pair) in pairs.enumerated().reversed() where index != 2 {
            kevent_stand_in_script(pair.near, write, 0, 0, 0, UInt64(index))
        }
        let both: IOEvents = [.read, .write]
        #expect(try probe.ready() == [0: both, 1: both, 2: .read, 3: both])
    }

    @Test func whatIsNotWatchedIsNotReported() throws {
        let probe = try PollerProbe(.kqueue)
        let pair = SocketPair()
        try probe.poller.add(pair.near, events: .read, mode: .level, token: 1)
        for number in [-1, pair.far, 60_000] {
            kevent_stand_in_script(number, read, 0, 0, 0, 5)
        }
        #expect(try probe.ready() == [:])
    }

    @Test func oneFilterForEachDirectionAndNoneOtherwise_H4() throws {
        let probe = try PollerProbe(.kqueue)
        let pair = SocketPair()
        let number = RareNumber(pair.near)
        let fd = number.descriptor
        try probe.poller.add(fd, events: .error, mode: .level, token: 1)
        #expect(kevent_stand_in_filters(fd) == 0)
        try probe.poller.modify(fd, events: .read, mode: .level, token: 1)
        #expect(kevent_stand_in_filters(fd) == 1)
        try probe.poller.modify(fd, events: [.read, .write], mode: .edge, token: 1)
        #expect(kevent_stand_in_filters(fd) == 2)
        try probe.poller.remove(fd)
        #expect(kevent_stand_in_filters(fd) == 0)
    }

    @Test func anAddThatFailsHalfwayLeavesNothingBehind() throws {
        let probe = try PollerProbe(.kqueue)
        let pair = SocketPair()
        let number = RareNumber(pair.near)
        let fd = number.descriptor
        kevent_stand_in_fail(1, ENOMEM)
        let failure = probe.failure {
            try $0.add(fd, events: [.read, .write], mode: .level, token: 1)
        }
        #expect(failure?.errno == ENOMEM)
        #expect(failure?.operation == "watch descriptor \(fd)")
        #expect(kevent_stand_in_filters(fd) == 0)
        try probe.poller.add(fd, events: [.read, .write], mode: .level, token: 2)
    }

    @Test func aModifyThatFailsIsNamedAndCanBeRepeated() throws {
        let probe = try PollerProbe(.kqueue)
        let pair = SocketPair()
        pair.send()
        try probe.poller.add(pair.near, events: .read, mode: .level, token: 1)
        // One call takes the old filter away, two add the new ones.
        for call: Int32 in [0, 1, 2] {
            kevent_stand_in_fail(call, ENOMEM)
            let failure = probe.failure {
                try $0.modify(pair.near, events: [.read, .write], mode: .level, token: 2)
            }
            #expect(failure?.errno == ENOMEM)
            #expect(failure?.operation.contains("\(pair.near)") == true)
            #expect(try probe.ready().values.allSatisfy { $0 == .read })
            try probe.poller.modify(pair.near, events: .read, mode: .level, token: 1)
        }
        try probe.poller.modify(pair.near, events: [.read, .write], mode: .level, token: 3)
        #expect(try probe.ready() == [3: [.read, .write]])
    }

    @Test func interruptionsAreNoErrors_B6() throws {
        let probe = try PollerProbe(.kqueue)
        let pair = SocketPair()
        kevent_stand_in_fail(0, EINTR)
        try probe.poller.add(pair.near, events: .write, mode: .level, token: 1)
        kevent_stand_in_fail(0, EINTR)
        #expect(try probe.ready() == [:])
        #expect(try probe.ready() == [1: .write])
        kevent_stand_in_fail(0, EINVAL)
        #expect(probe.errno { _ in _ = try probe.ready() } == EINVAL)
    }

    @Test func aLoopEndsWithAnErrorOfItsPollerOtherThanAnInterruption_B6() async throws {
        let error = await failure {
            try await withLoop(poller: .kqueue) { loop in
                kevent_stand_in_fail(0, EFAULT)
                try await loop.sleep(for: .seconds(20))
            }
        }
        #expect((error as? SystemError)?.errno == EFAULT)
    }
}
