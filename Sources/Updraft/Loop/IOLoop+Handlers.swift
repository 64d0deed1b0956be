internal import CUpdraft
internal import Logging

/// Called with the descriptor and what it is ready for, on the loop's thread.
public typealias DescriptorHandler = (_ descriptor: Int32, _ events: IOEvents) throws -> Void

/// The descriptor of a handler's registration: a user's closure, level-triggered.
final class HandlerSink: ReadinessSink {
    let descriptor: Int32
    /// What was registered in place of the number, if it was.
    let owner: (any DescriptorOwner)?
    let handler: DescriptorHandler
    let context: CallbackContext?
    unowned let loop: IOLoop

    init(
        _ descriptor: Int32, _ owner: (any DescriptorOwner)?, _ context: CallbackContext?,
        _ handler: @escaping DescriptorHandler, _ loop: IOLoop
    ) {
        self.descriptor = descriptor
        self.owner = owner
        self.context = context
        self.handler = handler
        self.loop = loop
    }

    var report: SinkReport { SinkReport(text: "a handler") }

    func closeWatched(_ descriptor: Int32) {
        if let owner { owner.close() } else { _ = cu_close(descriptor) }
    }

    func ready(_ events: IOEvents) {
        guard let context else { return serve(events) }
        context.run { serve(events) }
    }

    private func serve(_ events: IOEvents) {
        do {
            try handler(descriptor, events)
        } catch let error as SystemError where error.isBrokenPipe {
            // The peer went away; nothing to report (contract row B8).
        } catch {
            loop.onUnhandledError(error, "The handler of descriptor \(descriptor)")
        }
    }
}

// Descriptor handlers: contract rows C1-C9.
extension IOLoop {
    /// Calls `handler` whenever the descriptor is ready for one of `events`, in every turn as long
    /// as it is (level-triggered, C5). `error` is always among them (C1).
    ///
    /// The loop neither owns nor closes the descriptor: remove the handler before closing it.
    /// What the handler throws goes to `onUnhandledError`, but for EPIPE, which is dropped (B8).
    ///
    /// In a task, the handler gets the task's locals as they are now, at every event (C1, I3), and
    /// so does what it adds. Where any are bound, that costs 0.15 µs an event, and 1.4 KiB;
    /// in `withoutContext` nothing.
    ///
    /// - Throws: `LoopError` with `.duplicateHandler` if the descriptor has one (C8);
    ///   `SystemError` if it can't be watched (a plain file, a closed descriptor).
    public func addHandler(
        _ descriptor: Int32, events: IOEvents, _ handler: @escaping DescriptorHandler
    ) throws {
        checkThread("IOLoop.addHandler")
        try addHandler(
            descriptor, events: events, context: captureContext(isRepeated: true), handler)
    }

    func addHandler(
        _ descriptor: Int32, owner: (any DescriptorOwner)? = nil, events: IOEvents,
        context: CallbackContext?, _ handler: @escaping DescriptorHandler
    ) throws {
        let sink = HandlerSink(descriptor, owner, context, handler, self)
        try watch(descriptor, events: events.union(.error), mode: .level, sink: sink)
    }

    /// Replaces what a handler's descriptor is watched for; `error` stays (C2).
    ///
    /// - Throws: `LoopError` with `.noHandler` if there is no handler.
    public func updateHandler(_ descriptor: Int32, events: IOEvents) throws {
        checkThread("IOLoop.updateHandler")
        guard table.contains(descriptor) else {
            throw LoopError(.noHandler, "Descriptor \(descriptor) has no handler to update.")
        }
        try poller.modify(
            descriptor, events: events.union(.error), mode: .level,
            token: table.token(of: descriptor))
    }

    /// Forgets a handler, and with it any event that was fetched for it and not served yet (C3).
    /// Does nothing if there is none.
    public func removeHandler(_ descriptor: Int32) {
        checkThread("IOLoop.removeHandler")
        unwatch(descriptor)
    }

    /// Waits until the descriptor can be read without blocking (or failed): for C libraries that
    /// bring their own sockets. The descriptor must have no handler.
    ///
    /// - Throws: `CancellationError`, `TimeoutError`, or what `addHandler` throws.
    public nonisolated(nonsending) func readable(_ descriptor: Int32) async throws {
        try await waitFor(descriptor, .read)
    }

    /// Waits until the descriptor can be written without blocking (or failed); see `readable`.
    public nonisolated(nonsending) func writable(_ descriptor: Int32) async throws {
        try await waitFor(descriptor, .write)
    }

    private nonisolated(nonsending) func waitFor(
        _ descriptor: Int32, _ events: IOEvents
    ) async throws {
        checkThread("IOLoop.readable")
        let waiter = Waiter(loop: self)
        try addHandler(descriptor, events: events, context: nil) { [unowned self] descriptor, _ in
            removeHandler(descriptor)
            resumingInline { waiter.fire() }
        }
        do {
            try await waiter.wait(for: .descriptor)
        } catch {
            removeHandler(descriptor)
            throw error
        }
    }

    /// Registers a sink with the poller.
    func watch(
        _ descriptor: Int32, events: IOEvents, mode: PollMode, sink: any ReadinessSink
    ) throws {
        let token = try claim(descriptor, for: sink)
        do {
            try poller.add(descriptor, events: events, mode: mode, token: token)
        } catch {
            table.remove(descriptor)
            throw error
        }
    }

    /// Makes a descriptor a sink's, before `startPolling` or in between: nothing else can watch it
    /// until `unwatch`.
    ///
    /// - Returns: The token for its events.
    @discardableResult
    func claim(_ descriptor: Int32, for sink: any ReadinessSink) throws -> UInt64 {
        guard !table.contains(descriptor) else {
            throw LoopError(
                .duplicateHandler,
                "Descriptor \(descriptor) has a handler already; remove it first.")
        }
        guard descriptor >= 0 else {
            throw SystemError(errno: cu_ebadf, operation: "watch descriptor \(descriptor)")
        }
        return table.insert(sink, for: descriptor)
    }

    /// Waits for events of a claimed descriptor.
    ///
    /// - Throws: What the poller throws; the claim stays.
    func startPolling(_ descriptor: Int32, events: IOEvents, mode: PollMode) throws {
        let token = table.token(of: descriptor)
        try poller.add(descriptor, events: events, mode: mode, token: token)
    }

    /// Forgets a sink.
    ///
    /// - Parameter isPolled: False for one that is claimed alone.
    func unwatch(_ descriptor: Int32, isPolled: Bool = true) {
        guard let sink = table.remove(descriptor) else { return }
        // Until the poller knows: what goes away with the sink may watch the descriptor again.
        defer { withExtendedLifetime(sink) {} }
        if isPolled { stopPolling(descriptor) }
    }

    /// Waits for no events of a claimed descriptor; the sink may still get one that was fetched.
    /// The poller's failure is worth no more than a debug line: a descriptor that is closed already
    /// has left the poller by itself.
    func stopPolling(_ descriptor: Int32) {
        do {
            try poller.remove(descriptor)
        } catch {
            libraryLogger.debug("unwatch: \(error)")
        }
    }
}
