// Unsafe: `@unchecked Sendable`. `Delivery` is touched by the loop's thread only.

import Glibc
import Updraft

/// Callbacks from other threads: `remote.addCallback`. The loop has one processor, they another.
struct AsyncBench {
    let count: Int

    func run() throws {
        stay(onProcessor: 0)
        try pingPong(rounds: count / 10)
        try burst(threads: 1)
        try burst(threads: 2)
    }

    /// Another thread posts a callback and waits until it has run, again and again: each one wakes
    /// the loop.
    private func pingPong(rounds: Int) throws {
        let loop = try IOLoop()
        defer { loop.close() }
        let remote = loop.remote
        let start = Times.now()
        let thread = spawnThread {
            stay(onProcessor: 1)
            let answer = Answer()
            for _ in 0..<rounds {
                remote.addCallback { answer.give() }
                answer.wait()
            }
            remote.stop()
        }
        try loop.start()
        pthread_join(thread, nil)
        report("updraft", "ping-pong", rounds, since: start)
    }

    /// Threads post as fast as they can; the loop runs what has arrived.
    private func burst(threads threadCount: Int) throws {
        let loop = try IOLoop()
        defer { loop.close() }
        let remote = loop.remote
        let session = Delivery(expected: count)
        let each = count / threadCount
        let start = Times.now()
        let threads = (0..<threadCount).map { _ in
            spawnThread {
                stay(onProcessor: 1)
                for _ in 0..<each {
                    remote.addCallback { session.arrived() }
                }
            }
        }
        try loop.start()
        report("updraft", "burst-\(threadCount)", count, since: start)
        for thread in threads { pthread_join(thread, nil) }
    }
}

/// Counts on the loop's thread, and stops the loop when all are there.
private final class Delivery: @unchecked Sendable {
    private var left: Int

    init(expected: Int) {
        left = expected
    }

    func arrived() {
        left -= 1
        if left == 0 { IOLoop.current.stop() }
    }
}
