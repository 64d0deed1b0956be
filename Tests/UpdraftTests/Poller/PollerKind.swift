import CKeventStandIn
import Glibc
import Synchronization
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// The pollers that every test of a poller runs on. kqueue is the poller of Darwin and the BSDs as
/// it is shipped, above a stand-in of `kevent(2)`.
enum PollerKind: String, CaseIterable, Sendable, CustomStringConvertible {
    case epoll
    case kqueue
    case select

    var description: String { rawValue }

    func make() throws -> any Poller {
        switch self {
        case .epoll: try EpollPoller()
        case .kqueue: try KqueuePoller(calls: cu_kqueue_stand_in())
        case .select: try SelectPoller()
        }
    }

    /// Whether a failure shows on a descriptor that is watched for neither direction.
    var watchesUnasked: Bool { self == .epoll }

    /// Whether a failure shows on a stream that has something to read and nobody to read it.
    var watchesUndrained: Bool { self != .select }

    /// Connections that a test may have open at once. Both ends of each are in this process, and
    /// `select` takes no descriptor from 1,024 (`FD_SETSIZE`) on.
    var connectionsMax: Int { self == .select ? 400 : 10_000 }

    /// What `UPDRAFT_TEST_POLLER` names, if it is set.
    static let named: PollerKind? = {
        guard let value = getenv(variable) else { return nil }
        guard let kind = PollerKind(rawValue: String(cString: value)) else {
            preconditionFailure("\(variable) is none of \(allCases)")
        }
        return kind
    }()

    static let variable = "UPDRAFT_TEST_POLLER"

    /// The poller below the loops of the suites that do not name one.
    static let chosen = named ?? .epoll

    /// What the tests of pollers run on in this process. Other tests open more descriptors than
    /// `select` can take, so that its turn is in a process of its own: see `SelectProcessTests`.
    static let tested = named.map { [$0] } ?? [.epoll, .kqueue]
}

/// In place of `UpdraftTesting.withLoop`, which it hides from these tests: on the poller that the
/// environment chooses.
func withLoop<R: Sendable>(
    timeLimit: Duration = .seconds(30),
    _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> R
) async throws -> R {
    try await withLoop(poller: .chosen, timeLimit: timeLimit, body)
}

/// `withLoop` on a poller.
func withLoop<R: Sendable>(
    poller: PollerKind, timeLimit: Duration = .seconds(30),
    _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> R
) async throws -> R {
    try await UpdraftTesting.withLoop(
        making: { try IOLoop(poller: poller.make()) }, timeLimit: timeLimit, body)
}

/// In place of `UpdraftTesting.withVirtualLoop`, likewise.
func withVirtualLoop<R: Sendable>(
    timeLimit: Duration = .seconds(30),
    _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> R
) async throws -> R {
    try await UpdraftTesting.withLoop(
        making: {
            let clock = ManualClock()
            let poller = try VirtualPoller(clock: clock, base: PollerKind.chosen.make())
            return try IOLoop(poller: poller, clock: clock)
        }, timeLimit: timeLimit, body)
}

/// A poller by itself, closed at the end, with the events of its last wait.
final class PollerProbe {
    let poller: any Poller
    private let buffer: UnsafeMutableBufferPointer<PollEvent>

    init(_ kind: PollerKind, capacity: Int = 64) throws {
        poller = try kind.make()
        buffer = .allocate(capacity: capacity)
    }

    deinit {
        poller.close()
        buffer.deallocate()
    }

    /// What is ready, by token; waits at most so long.
    func ready(within timeout: Duration = .zero) throws -> [UInt64: IOEvents] {
        let count = try poller.wait(
            timeoutNanoseconds: timeout.wholeNanoseconds, into: buffer)
        var found: [UInt64: IOEvents] = [:]
        for event in buffer[..<count] {
            // One entry for each descriptor, whatever the system makes of it.
            if found.updateValue(event.events, forKey: event.token) != nil {
                Issue.record("two events of one registration in a batch")
            }
        }
        return found
    }

    /// The tokens of one wait, in their order.
    func tokens() throws -> [UInt64] {
        let count = try poller.wait(timeoutNanoseconds: 0, into: buffer)
        return buffer[..<count].map(\.token)
    }

    /// The `errno` that `body` throws.
    func errno(_ body: (any Poller) throws -> Void) -> Int32? {
        failure(body)?.errno
    }

    func failure(_ body: (any Poller) throws -> Void) -> SystemError? {
        do {
            try body(poller)
            return nil
        } catch {
            return error as? SystemError
        }
    }
}

/// Two connected sockets of the system, closed with the object.
final class SocketPair {
    private(set) var near: Int32
    private(set) var far: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        precondition(socketpair(AF_UNIX, type, 0, &ends) == 0)
        near = ends[0]
        far = ends[1]
    }

    deinit {
        closeNear()
        closeFar()
    }

    func closeNear() {
        if near >= 0 { close(near) }
        near = -1
    }

    func closeFar() {
        if far >= 0 { close(far) }
        far = -1
    }

    /// Writes until the kernel takes no more.
    func fill() {
        let block = [UInt8](repeating: 1, count: 65_536)
        while write(near, block, block.count) > 0 {}
    }

    /// Reads everything that is there.
    func drainFar() {
        var block = [UInt8](repeating: 0, count: 65_536)
        while read(far, &block, block.count) > 0 {}
    }

    func send(_ count: Int = 1) {
        precondition(write(far, [UInt8](repeating: 7, count: count), count) == count)
    }

    @discardableResult
    func receive(_ count: Int = 1) -> Int {
        var block = [UInt8](repeating: 0, count: count)
        return read(near, &block, count)
    }
}

/// A duplicate of a descriptor under a number that no other test gets, so that it stays free once
/// it is closed.
final class RareNumber {
    /// Above what the tests of a process use together. What `select` can take is low, so its tests
    /// have a process of their own.
    private static let first: Int32 = PollerKind.chosen == .select ? 900 : raisedLimit() - 200
    private static let used = Atomic<Int32>(0)
    private(set) var descriptor: Int32

    init(_ original: Int32) {
        descriptor = Self.first + Self.used.add(1, ordering: .relaxed).newValue
        precondition(Self.used.load(ordering: .relaxed) < 120, "the numbers are used up")
        precondition(fcntl(original, F_DUPFD_CLOEXEC, descriptor) == descriptor)
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Closes it, and returns the number that it had.
    func closed() -> Int32 {
        defer { descriptor = -1 }
        close(descriptor)
        return descriptor
    }
}

/// Raises the process's limit of descriptors as far as these tests need, and returns it.
@discardableResult
func raisedLimit() -> Int32 {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    if limit.rlim_cur < 8_192 {
        limit.rlim_cur = min(8_192, limit.rlim_max)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
    return Int32(clamping: limit.rlim_cur)
}
