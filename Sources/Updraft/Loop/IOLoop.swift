internal import CUpdraft
public import Logging

/// An event loop: one thread's descriptors, timeouts, callbacks and tasks, in turns.
///
/// A loop belongs to the thread that made it, and so does everything on it: streams, servers,
/// your own classes. The class is not Sendable, so the compiler keeps them there; what slips
/// through is stopped by a thread check, in release builds too. From other threads use `remote`.
///
/// ```swift
/// try IOLoop.run { loop in
///     loop.callLater(.seconds(3)) { print("three seconds later, on the same thread") }
///     try await TCPServer(port: 7000).serve { stream in
///         for try await chunk in stream.chunks { try await stream.write(chunk) }
///     }
/// }
/// ```
///
/// What a turn does, and in which order, is fixed: see `docs/turn-order.md`. Contract rows A1-A17.
public final class IOLoop {
    /// Runs this loop's tasks on its thread; Sendable.
    public let executor: LoopExecutor

    /// What log lines of this loop call it.
    public let name: String

    /// Bounds on the work of one turn; change them before the loop starts.
    @exclusivity(unchecked) public var limits = TurnLimits()

    /// Called with what a callback, timeout or handler threw, on the loop's thread. By default
    /// `logger` has it, as an error (contract rows B8, B9, D9).
    public var onUnhandledError: (any Error, _ where: String) -> Void

    /// The logger of what user code threw and nobody caught, and of turns that it blocks:
    /// `updraft.application`. The library's own lines follow it; see `libraryLogger` (contract row
    /// I2).
    public var logger: Logger
    var ownLibraryLogger: Logger?

    var defaultPoolState = DefaultPool.unmade

    /// The loops that this one was started with; nil for a loop of its own.
    var crew: LoopCrew?
    /// Servers that this loop has made so far: tells them apart within a crew.
    var serversMade: [String: Int] = [:]

    package let poller: any Poller
    let clock: any LoopClock
    @exclusivity(unchecked) var timers = TimerHeap()
    /// Taken back already, but still in `timers`: see `removeTimeout`.
    @exclusivity(unchecked) var leavingTimeouts = LeavingTimeouts()
    @exclusivity(unchecked) var table = DescriptorTable()
    /// Sinks without a descriptor, which nothing else would keep.
    var keptSinks: [ObjectIdentifier: any ReadinessSink] = [:]
    var madeShutdown: Shutdown?
    let contexts = ContextExecutor(endsDropped: true)
    @exclusivity(unchecked) var contextFreeTasks = ContextFreeTasks()
    var guests = GuestWaits()
    var futureWaits: [ObjectIdentifier: any FutureWait] = [:]
    var signals: SignalWatch?
    let pulse = LoopPulse()
    @exclusivity(unchecked) var meter: LoopMeter
    let rootScope: TaskScope
    /// Tasks that the loop has started and that have not ended.
    public internal(set) var taskCount = 0
    @exclusivity(unchecked) var buffers: BufferPool
    @exclusivity(unchecked) var flushQueue: [any Flushable] = []
    package internal(set) var openStreams = 0
    /// Tasks that the loop has started so far, for tests of what needs none.
    package internal(set) var tasksStarted: UInt64 = 0
    /// What layers above keep once per loop, by its type; let go when the loop is closed.
    package var attachments: [ObjectIdentifier: AnyObject] = [:]
    @exclusivity(unchecked) package internal(set) var turnNumber: UInt64 = 0
    var dueScratch: ContiguousArray<Timeout> = []
    let events: UnsafeMutableBufferPointer<PollEvent>

    @exclusivity(unchecked) private(set) var state = State.stopped
    private let startedAt: LoopInstant
    private let ownerThread = cu_thread_self()
    private let ownerProcess = cu_process_id()

    enum State {
        case stopped
        /// `stop` was called while no `start` was running: the next `start` returns at once.
        case stopRequestedEarly
        case running
        /// The turn that is under way is the last.
        case stopping
        /// `close` is under way: what other threads post is dropped.
        case closing
        case closed
    }

    /// Makes a loop for the calling thread, and makes it the thread's current loop if there is
    /// none.
    ///
    /// Most programs call `IOLoop.run` and never this.
    ///
    /// - Parameters:
    ///   - name: For log lines.
    ///   - poller: Where readiness comes from; the platform's best by default. To choose one of the
    ///     platform's by name, give a `PollerChoice`, as in `.select`.
    ///   - clock: Where the time comes from; the monotonic clock by default.
    /// - Throws: `SystemError` if the system has no descriptors left.
    public init(
        name: String = "loop", poller: (any Poller)? = nil, clock: (any LoopClock)? = nil
    ) throws {
        self.name = name
        self.poller = try poller ?? PollerChoice.best.makePoller()
        self.clock = clock ?? MonotonicClock()
        do {
            executor = try LoopExecutor()
        } catch {
            self.poller.close()
            throw error
        }
        cu_ignore_broken_pipes()
        cu_keep_freed_memory()
        _ = TaskLocals.canBeTold
        rootScope = TaskScope(executor)
        startedAt = self.clock.now()
        events = .allocate(capacity: TurnLimits.eventsPerPoll)
        buffers = BufferPool()
        meter = LoopMeter(pulse)
        logger = Logger(label: LoggerLabel.application)
        onUnhandledError = { _, _ in }
        onUnhandledError = { [unowned self] error, place in
            logger.error("\(place) threw: \(error)")
        }
        executor.loop = self
        if cu_current_loop() == nil { CurrentLoop.set(self) }
        try watchWaker()
    }

    deinit {
        if state != .closed { release() }
        events.deallocate()
    }

    // MARK: The calling thread's loop

    /// The calling thread's loop.
    ///
    /// - Precondition: The thread has one; on other threads there is nothing to call it on.
    public static var current: IOLoop {
        requireCurrent()
    }

    /// The calling thread's loop, or nil (contract row A4).
    public static var currentIfAny: IOLoop? {
        CurrentLoop.get()
    }

    static func requireCurrent() -> IOLoop {
        guard let loop = CurrentLoop.get() else {
            Misuse.stop(
                "There is no loop on this thread. Run the code inside IOLoop.run { loop in ... }, "
                    + "and start tasks with loop.spawn instead of Task { } or Task.detached { }.")
        }
        return loop
    }

    /// Makes this loop the calling thread's current loop.
    public func makeCurrent() {
        checkOwner()
        CurrentLoop.set(self)
    }

    /// Stops the program if the caller is not on this loop's thread. On in release builds: one
    /// comparison of a thread-local word.
    @inline(__always)
    package func checkThread(_ what: @autoclosure () -> String) {
        if !executor.isOnThread { checkOwner(what()) }
    }

    /// A loop that is not (or no longer) its thread's current one may still be used there.
    @inline(never)
    private func checkOwner(_ what: String = "IOLoop") {
        if cu_thread_self() != ownerThread { Misuse.wrongThread(what) }
        if cu_process_id() != ownerProcess { Misuse.forked(what) }
    }

    // MARK: Time

    /// The time on the loop's clock, which deadlines are on.
    public var now: LoopInstant { clock.now() }

    /// The time since the loop was made.
    public var uptime: Duration { startedAt.duration(to: now) }

    // MARK: Start and stop

    /// Whether the loop is between the start of `start` and a request to stop (contract row A10).
    public var isRunning: Bool { state == .running }

    /// Runs turns until `stop`; blocks the thread (contract row A6).
    ///
    /// If `stop` was called before, it returns at once and the request is used up (A8).
    ///
    /// - Throws: `LoopError` if the loop is running already or was closed, `SystemError` if the
    ///   poller fails.
    public func start() throws {
        checkThread("IOLoop.start")
        switch state {
        case .running, .stopping:
            throw LoopError(.alreadyRunning, "start() was called on a loop that is running.")
        case .closing, .closed:
            throw LoopError(.closed, "start() was called on a loop that was closed.")
        case .stopRequestedEarly:
            state = .stopped
            return
        case .stopped:
            break
        }
        let previous = CurrentLoop.get()
        if let previous, previous !== self, previous.isInTurns {
            throw LoopError(.alreadyRunning, "Another loop is running on this thread.")
        }
        CurrentLoop.set(self)
        state = .running
        defer {
            state = .stopped
            CurrentLoop.set(previous ?? self)
        }
        try runTurnsInTask()
    }

    /// The language keeps locals in tasks, and can't tell of others whether there are any. So
    /// callbacks without a context run in a task, too: one for all, which has no locals.
    private func runTurnsInTask() throws {
        var failure: (any Error)?
        contexts.runInBareTask {
            contextFreeTasks.ofTurns = CurrentTask.identity
            defer { contextFreeTasks.ofTurns = nil }
            do { try runTurns() } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Makes the turn that is under way the last; before `start`, makes the next `start` return at
    /// once (contract rows A7, A8, B5). On the loop's thread; see `remote` for others.
    public func stop() {
        checkThread("IOLoop.stop")
        switch state {
        case .running: state = .stopping
        case .stopped: state = .stopRequestedEarly
        case .stopRequestedEarly, .stopping, .closing, .closed: break
        }
    }

    /// Ends the loop for good: cancels the tasks that it started, lets them end, and frees its
    /// descriptors. Streams that are open are closed; what they have not sent is sent as far as the
    /// kernel takes it. Handlers are forgotten; their descriptors are closed only on request.
    /// The loop must not be running. Callbacks that other threads have added and that have not run
    /// yet never run (contract row D4).
    ///
    /// - Parameter allDescriptors: Whether to close every descriptor that still has a handler; an
    ///   object that was registered in its place is closed itself (3.1.18).
    public func close(allDescriptors: Bool = false) {
        checkThread("IOLoop.close")
        guard state != .closed, state != .closing else { return }
        if isInTurns { Misuse.stop("IOLoop.close was called while the loop runs; stop it first.") }
        state = .closing
        endTasks()
        endSinks()
        if allDescriptors { table.closeAll() }
        table.removeAll()
        release()
    }

    /// Tells the sinks, and runs what they have to say about it.
    private func endSinks() {
        let sinks = table.sinks + keptSinks.values
        for sink in sinks { sink.loopIsClosing() }
        keptSinks = [:]
        do {
            // A callback that adds itself again and again has no last one.
            for _ in 0..<IOLoop.closingTurnsMax {
                _ = try runIdleTurn()
                if executor.ready.isEmpty { break }
            }
        } catch {
            libraryLogger.error("While closing: \(error)")
        }
    }

    private static let closingTurnsMax = 1_000

    /// Frees what will never run, and what it holds, which may be the loop.
    private func dropCallbacks() {
        contexts.close()
        let actions = timers.takeAll()
        let ready = executor.ready
        let waits = futureWaits
        // They know their loop: left there, they and it would keep each other alive.
        let attachments = attachments
        executor.ready = RingBuffer()
        futureWaits = [:]
        self.attachments = [:]
        for wait in waits.values { wait.drop() }
        let shutdown = madeShutdown.take()
        withExtendedLifetime((ready, attachments, shutdown)) {}
        _ = consume actions
    }

    var isInTurns: Bool { state == .running || state == .stopping }
    var isClosing: Bool { state == .closing }

    private func release() {
        state = .closed
        StallMonitor.shared.remove(ObjectIdentifier(executor))
        signals = nil
        dropCallbacks()
        defaultPoolState.close()
        executor.close()
        executor.loop = nil
        poller.close()
        if executor.isOnThread { CurrentLoop.set(nil) }
    }
}

/// What went wrong with a loop itself.
public struct LoopError: Error, Sendable, CustomStringConvertible {
    /// Kinds of loop errors.
    public enum Code: Sendable {
        /// `start` or `run` on a thread whose loop runs.
        case alreadyRunning
        /// The loop was closed.
        case closed
        /// `stop` ended the loop before what it was to run had ended.
        case stopped
        /// A descriptor has a handler already.
        case duplicateHandler
        /// A descriptor has no handler.
        case noHandler
        /// A queue with a bound is full.
        case full
        /// The system does not have the poller that was asked for.
        case pollerUnavailable
        /// A value that can't be, such as a period of zero.
        case invalidArgument
    }

    /// What kind of error it is.
    public let code: Code

    /// What was wrong, in a sentence.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The sentence.
    public var description: String { message }
}

/// Bounds on what one turn does before it looks at the descriptors again, so that no callback
/// chain, connection or listener starves the others.
public struct TurnLimits: Sendable {
    /// Task pieces that become ready while callbacks and tasks run, and still run in this turn.
    public var extraJobsMax = 1024

    /// Bytes that one stream hands to its readers in one turn, and so many that it sends, before
    /// the others have theirs. 256 KiB.
    public var streamBytesMax = 1 << 18

    /// Connections that one listener accepts in one turn (contract row K8).
    public var acceptsMax = 128

    /// Descriptors that one poll reports at the most.
    static let eventsPerPoll = 512

    /// Due timeouts that are taken out together: few enough for what they touch to stay in the
    /// first cache until they run.
    static let timeoutsPerBatch = 64

    /// The defaults.
    public init() {}
}
