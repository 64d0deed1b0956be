import Glibc
import TestSupport
import Testing
import Updraft

/// What only `select` does. Contract row H5.
@Suite(.enabled(if: PollerKind.tested.contains(.select)))
struct SelectPollerTests {
    @Test func descriptorsFrom1024OnAreRefusedByNumberAndNothingIsRegistered_H5() throws {
        let probe = try PollerProbe(.select)
        let pair = SocketPair()
        raisedLimit()
        let high = fcntl(pair.near, F_DUPFD_CLOEXEC, 1_024)
        #expect(high >= 1_024)
        defer { close(high) }
        pair.send()
        for _ in 0..<2 {
            let error = probe.failure {
                try $0.add(high, events: .read, mode: .level, token: 1)
            }
            let text = error.map { "\($0)" } ?? "no error"
            #expect(text.contains("descriptor \(high)") && text.contains("below 1024"), "\(text)")
        }
        #expect(try probe.ready() == [:])
        #expect(probe.errno { try $0.remove(high) } == ENOENT)
        let last = fcntl(pair.near, F_DUPFD_CLOEXEC, 1_023)
        defer { close(last) }
        try probe.poller.add(last, events: .read, mode: .level, token: 2)
        #expect(try probe.ready() == [2: .read])
    }

    @Test func aLoopRefusesWhatSelectCannotWatchAndGoesOn() async throws {
        try await withLoop(poller: .select) { loop in
            let pair = SocketPair()
            let high = fcntl(pair.near, F_DUPFD_CLOEXEC, 1_024)
            defer { close(high) }
            for _ in 0..<2 {
                #expect(throws: SystemError.self) {
                    try loop.addHandler(high, events: .read) { _, _ in }
                }
            }
            pair.send()
            try await loop.readable(pair.near)
        }
    }

    @Test func aHandlerWhoseDescriptorIsClosedIsToldOnceAndTheLoopGoesOn() async throws {
        try await withLoop(poller: .select) { loop in
            let pair = SocketPair()
            let number = RareNumber(pair.near)
            var seen: [IOEvents] = []
            try loop.addHandler(number.descriptor, events: .read) { _, events in
                seen.append(events)
            }
            try await loop.turns(2)
            let closed = number.closed()
            try await loop.turns(5)
            #expect(seen == [.error])
            loop.removeHandler(closed)
            pair.send()
            try await loop.readable(pair.near)
        }
    }
}
