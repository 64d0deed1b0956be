/// Something with output that waits for the end of the turn.
protocol Flushable: AnyObject {
    /// Sends what was written in this turn.
    func flushTurn()
}

// One turn, in the order of `docs/turn-order.md`. Contract rows B1-B7, B10, B12.
extension IOLoop {
    func runTurns() throws {
        meter.beginWork()
        defer { meter.leave() }
        while true {
            turnNumber &+= 1
            runReady()
            runDueTimeouts()
            // A child that a callback forked, and returned in, must neither send nor poll (A17).
            checkThread("IOLoop")
            if state == .stopping {
                flushStreams()
                return
            }
            flushStreams()
            letGo()
            try poll()
        }
    }

    /// A turn that does not block, for a loop that is being closed.
    ///
    /// - Returns: Whether anything is left to run at once.
    func runIdleTurn() throws -> Bool {
        // Each stream has its share anew.
        turnNumber &+= 1
        runReady()
        flushStreams()
        letGo()
        let count = try poller.wait(timeoutNanoseconds: 0, into: events)
        for index in 0..<count { dispatch(events[index]) }
        executor.collectInbox()
        return count > 0 || !executor.ready.isEmpty
    }

    /// Step 1: a snapshot of the callbacks and the tasks that are ready, first in, first out.
    ///
    /// Callbacks added meanwhile wait for the next turn. Tasks made ready meanwhile still run, up
    /// to a bound, unless a callback stands before them.
    private func runReady() {
        meter.note(.callbacks)
        var arrived = executor.takeInbox()
        var snapshot = executor.ready.count
        while snapshot > 0, let work = executor.ready.popFirst() {
            snapshot -= 1
            run(work)
        }
        while let work = arrived.popFirst() { run(work) }
        var extra = limits.extraJobsMax
        while extra > 0, case .job(let job)? = executor.ready.first {
            _ = executor.ready.popFirst()
            extra -= 1
            executor.run(job)
            executor.isBusy = true
        }
    }

    private func run(_ work: LoopExecutor.Work) {
        switch work {
        case .job(let job):
            executor.run(job)
            executor.isBusy = true
        case .callback(let callback):
            meter.callbacks &+= 1
            callback()
        case .remoteCallback(let callback):
            if isClosing { return }
            meter.callbacks &+= 1
            guarded("A callback", callback)
        case .remote(let callback):
            meter.callbacks &+= 1
            callback(self)
        }
    }

    /// Step 2: one round of timeouts, so that none can run in the turn that added it. One due
    /// timeout can remove another.
    private func runDueTimeouts() {
        finishRemovals()
        guard let next = timers.nextDeadline else { return }
        let now = clock.now().nanoseconds
        guard next <= now else { return }
        var due = ContiguousArray<Timeout>()
        swap(&due, &dueScratch)
        meter.note(.timeouts)
        timers.beginRound(now: now)
        while true {
            // After the last batch too: what goes away may stop the loop and leave contexts behind.
            finishRemovals()
            timers.collectDue(now: now, countMax: TurnLimits.timeoutsPerBatch, into: &due)
            if due.isEmpty { break }
            meter.timeouts &+= UInt64(due.count)
            for timeout in due {
                finishRemovals()
                if let action = timers.takeDue(timeout) { guarded("A timeout", action.run) }
            }
            due.removeAll(keepingCapacity: true)
        }
        timers.endRound()
        swap(&due, &dueScratch)
    }

    /// Step 4: one `send` for each stream that was written in this turn.
    func flushStreams() {
        // What is written while the queue is flushed (by a task that a drained stream wakes) is
        // flushed in this round too; each stream stands in the queue at most once.
        var index = 0
        if !flushQueue.isEmpty { meter.note(.output) }
        while index < flushQueue.count {
            flushQueue[index].flushTurn()
            index += 1
        }
        flushQueue.removeAll(keepingCapacity: index <= 4096)
    }

    /// Then what this turn is done with goes away, before the loop waits: that may start something.
    private func letGo() {
        repeat {
            finishRemovals()
            contexts.endDropped()
        } while !leavingTimeouts.isEmpty
    }

    /// Steps 5 and 6: waits for readiness and serves it, one descriptor at a time.
    private func poll() throws {
        let count: Int
        let timeout = pollTimeout()
        if timeout != 0, executor.prepareToSleep() {
            meter.endWork()
            defer {
                executor.didWakeUp()
                meter.beginWork()
            }
            count = try poller.wait(timeoutNanoseconds: timeout, into: events)
        } else {
            count = try poller.wait(timeoutNanoseconds: 0, into: events)
            meter.passTurn()
        }
        meter.noteReady(count)
        for index in 0..<count {
            dispatch(events[index])
        }
    }

    /// Nanoseconds until the next deadline: 0 if anything is ready to run, or if the loop was asked
    /// to stop since step 3; negative without limit.
    private func pollTimeout() -> Int64 {
        if !executor.ready.isEmpty || !flushQueue.isEmpty || state == .stopping { return 0 }
        guard let deadline = timers.nextDeadline else { return -1 }
        let now = clock.now().nanoseconds
        return deadline <= now ? 0 : deadline - now
    }

    private func dispatch(_ event: PollEvent) {
        // An event of an earlier registration, or one that a handler of this batch removed.
        guard let sink = table.sink(for: event.token) else { return }
        meter.note(.descriptor(Int32(truncatingIfNeeded: event.token)))
        sink.ready(event.events)
    }

    /// Lets a task that the loop itself wakes (a reader, a sleeper) run at once, on top of the
    /// loop, instead of in the next turn. Nothing of the caller's may depend on state that the
    /// task could change.
    @inline(__always)
    func resumingInline(_ wake: () -> Void) {
        let wasBusy = executor.isBusy
        executor.isBusy = false
        wake()
        executor.isBusy = wasBusy
    }
}
