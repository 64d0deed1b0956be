internal import CUpdraft
internal import Synchronization

/// Which of the system's pollers a loop is to use (contract row H1).
///
/// ```swift
/// try IOLoop.run(poller: .select) { loop in try await loop.sleep(for: .seconds(1)) }
/// ```
public enum PollerChoice: String, CaseIterable, Hashable, Sendable {
    /// The best that the system has: epoll before kqueue before select.
    case best
    /// `epoll(7)`: Linux.
    case epoll
    /// `kqueue(2)`: Darwin and the BSDs.
    case kqueue
    /// `select(2)`: everywhere, for descriptors below 1,024. Notices failures later; see
    /// `SelectPoller`.
    case select

    /// Whether this system has it.
    public var isAvailable: Bool {
        switch self {
        case .best, .select: true
        case .epoll: cu_has_epoll
        case .kqueue: cu_kqueue_system() != nil
        }
    }

    /// What `best` stands for on this system; any other choice stands for itself.
    public var resolved: PollerChoice {
        guard self == .best else { return self }
        return Self.preferred(among: Self.allCases.filter(\.isAvailable))
    }

    /// The choice that `best` stands for on a system that has these.
    static func preferred(among available: [PollerChoice]) -> PollerChoice {
        [.epoll, .kqueue].first(where: available.contains) ?? .select
    }

    /// Makes a poller, for a loop or to wrap it in a poller of your own.
    ///
    /// - Throws: `SystemError` for want of descriptors or memory, and if this system does not have
    ///   the choice (ENOSYS).
    public func makePoller() throws -> any Poller {
        if self == .best, let make = standInForBest.withLock({ $0 }) { return try make() }
        switch resolved {
        case .best, .select:
            return try SelectPoller()
        case .kqueue:
            return try KqueuePoller()
        case .epoll:
            return try EpollPoller()
        }
    }

    /// Makes `best` stand for another poller in the whole process, so that the loops of tests that
    /// name none run on each poller in turn. For this package's tests alone: in other programs
    /// nothing calls it. Any thread; for loops that are made later.
    package static func makeBest(with make: @escaping @Sendable () throws -> any Poller) {
        standInForBest.withLock { $0 = make }
    }
}

/// Looked at once for each loop that is made without a poller's name.
private let standInForBest = Mutex<(@Sendable () throws -> any Poller)?>(nil)
