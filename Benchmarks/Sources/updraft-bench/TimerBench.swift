import Updraft

/// A clock that stands still until it is moved.
final class StepClock: LoopClock {
    var time = LoopInstant(nanoseconds: 0)

    func now() -> LoopInstant { time }
}

private enum Request {
    @TaskLocal static var id = 0
}

/// The loop's own timers, by its public calls: `callLater` and `removeTimeout`.
struct TimerBench {
    let name: String
    let count: Int

    /// From outside tasks, as by a program of callbacks.
    func runPlain() throws {
        let clock = StepClock()
        let loop = try IOLoop(clock: clock)
        defer { loop.close() }
        addChurnAndCancel(loop)
        let session = Session()
        for delay in randomDelays(count) { loop.callLater(delay) { session.expire() } }
        // All at once; then a millisecond's worth a turn.
        loop.spawnCallback {
            clock.time = clock.time.advanced(by: .seconds(2))
            loop.callLater(.zero) { loop.stop() }
        }
        var start = Times.now()
        try loop.start()
        report(name, "fire", session.fired, since: start)

        for delay in randomDelays(count) { loop.callLater(delay) { session.expire() } }
        let firedBefore = session.fired
        func step() {
            clock.time = clock.time.advanced(by: .milliseconds(1))
            if session.fired - firedBefore < count { loop.spawnCallback(step) } else { loop.stop() }
        }
        loop.spawnCallback(step)
        start = Times.now()
        try loop.start()
        report(name, "fire-by-1000", session.fired - firedBefore, since: start)
    }

    /// In a task, which has no task-locals.
    func runInTask() throws {
        let clock = StepClock()
        let loop = try IOLoop(clock: clock)
        defer { loop.close() }
        try loop.runSync {
            addChurnAndCancel(loop)
            try await addAndFire(loop, clock)
        }
    }

    /// In a task with one, which each timer takes along.
    func runWithLocal() throws {
        let clock = StepClock()
        let loop = try IOLoop(clock: clock)
        defer { loop.close() }
        try loop.runSync {
            try await Request.$id.withValue(7) {
                addChurnAndCancel(loop)
                try await addAndFire(loop, clock)
            }
        }
    }

    private func addAndFire(_ loop: IOLoop, _ clock: StepClock) async throws {
        let session = Session()
        for delay in randomDelays(count) { loop.callLater(delay) { session.expire() } }
        clock.time = clock.time.advanced(by: .seconds(2))
        let start = Times.now()
        while session.fired < count { try await loop.nextTurn() }
        report(name, "fire", count, since: start)
    }

    private func addChurnAndCancel(_ loop: IOLoop) {
        let delays = randomDelays(count)
        let session = Session()
        var random = SplitMix(seed: 2)
        // Filled, so that the memory of the program's own list is there before the time is taken.
        let filler = loop.callLater(.zero) {}
        loop.removeTimeout(filler)
        var timeouts = [Timeout](repeating: filler, count: count)
        var start = Times.now()
        for index in 0..<count {
            timeouts[index] = loop.callLater(delays[index]) { session.expire() }
        }
        report(name, "add", count, since: start)

        timeouts.shuffle(using: &random)
        start = Times.now()
        for index in 0..<count {
            loop.removeTimeout(timeouts[index])
            timeouts[index] = loop.callLater(delays[index]) { session.expire() }
        }
        report(name, "cancel+add", count, since: start)

        timeouts.shuffle(using: &random)
        start = Times.now()
        for timeout in timeouts { loop.removeTimeout(timeout) }
        report(name, "cancel", count, since: start)
    }
}
