/// How a poller reports a descriptor that stays ready.
public enum PollMode: Sendable {
    /// Again in every turn while it is ready. What `IOLoop.addHandler` gives.
    case level

    /// Once for each change. Whoever finds the descriptor drained (a short read, EAGAIN) says so
    /// with `Poller.rearm`. What streams use: they register once and never again.
    case edge
}

/// One ready descriptor, as a poller reports it.
public struct PollEvent: Sendable {
    /// What was given to `Poller.add`.
    public var token: UInt64

    /// What the descriptor is ready for.
    public var events: IOEvents

    /// For pollers of your own.
    public init(token: UInt64, events: IOEvents) {
        self.token = token
        self.events = events
    }
}

/// The system's answer to "which of these descriptors are ready?" (contract row H2).
///
/// A poller knows nothing of handlers, tasks or streams. It belongs to one loop and is called on
/// that loop's thread only; nothing in it is locked. The loop gives each registration a token of
/// its own, so that an event of an earlier registration is told from one of the present.
public protocol Poller: AnyObject {
    /// The name by which it is asked for and logged, as in `epoll`.
    var name: String { get }

    /// Whether `rearm` does anything, so that the loop can leave the call out where it does not.
    var needsRearm: Bool { get }

    /// Starts to watch a descriptor; `error` is always watched for.
    ///
    /// - Throws: `SystemError` if the descriptor is watched already or can't be watched.
    func add(_ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64) throws

    /// Replaces what a descriptor is watched for.
    func modify(_ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64) throws

    /// Stops watching.
    ///
    /// - Throws: `SystemError` if it was not watched; the loop logs that and goes on.
    func remove(_ descriptor: Int32) throws

    /// Says that an edge-watched descriptor has been drained in these directions.
    func rearm(_ descriptor: Int32, events: IOEvents)

    /// Waits until something is ready and fills `events` from its start.
    ///
    /// - Parameters:
    ///   - timeoutNanoseconds: 0 only looks, a negative number waits without limit. Rounded up to
    ///     the poller's resolution, so that no timeout fires early.
    ///   - events: Room for at least one event.
    /// - Returns: The number of events filled in; 0 also after an interruption by a signal.
    func wait(
        timeoutNanoseconds: Int64, into events: UnsafeMutableBufferPointer<PollEvent>
    ) throws -> Int

    /// Frees the poller's own descriptors. Nothing else is called after it.
    func close()
}
