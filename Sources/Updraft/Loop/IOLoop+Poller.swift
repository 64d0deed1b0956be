internal import Logging
internal import Synchronization

extension IOLoop {
    /// Makes a loop on one of the system's pollers; otherwise as `init(name:poller:clock:)` for a
    /// poller of your own. Contract row H1.
    ///
    /// The first time that a program asks for `select` on Linux, which has something better, a
    /// warning is logged.
    ///
    /// - Throws: `LoopError` with `.pollerUnavailable` if this system does not have the choice;
    ///   `SystemError` if it has no descriptors left.
    public convenience init(
        name: String = "loop", poller: PollerChoice, clock: (any LoopClock)? = nil
    ) throws {
        guard poller.isAvailable else {
            let offered = PollerChoice.allCases.filter(\.isAvailable).map(\.rawValue)
                .joined(separator: ", ")
            throw LoopError(
                .pollerUnavailable,
                "This system has no \(poller.rawValue); a loop can use \(offered) here.")
        }
        try self.init(name: name, poller: poller.makePoller(), clock: clock)
        if poller == .select, PollerChoice.epoll.isAvailable { warnOfSelect() }
    }

    private func warnOfSelect() {
        if hasWarnedOfSelect.exchange(true, ordering: .relaxed) { return }
        libraryLogger.warning(
            """
            The loop uses select, which looks at every descriptor in each turn and takes those \
            below 1024 only; on Linux epoll is better.
            """)
    }
}

/// Once per process is enough, however many loops it has.
private let hasWarnedOfSelect = Atomic(false)
