import Glibc
import Updraft

@testable import LeaderboardCore

/// A file whose writes stop until the test lets them go on, and fail when it says so.
final class GatedFile: @unchecked Sendable {
    private let arrivals = Pipe()
    private let passes = Pipe()
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private var isGated = false
    private var writeError: Int32 = 0
    private var renameError: Int32 = 0
    private var writeCount = 0
    private var renameCount = 0

    /// Both ends of a pipe, in which each byte is one event.
    private final class Pipe {
        private var ends: [Int32] = [-1, -1]

        init() { precondition(pipe(&ends) == 0) }
        deinit { for end in ends { close(end) } }

        func send() { precondition(write(ends[1], "x", 1) == 1) }

        func receive() {
            var byte: UInt8 = 0
            precondition(read(ends[0], &byte, 1) == 1)
        }
    }

    init() { pthread_mutex_init(lock, nil) }

    deinit {
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    private func locked<R>(_ body: () -> R) -> R {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }

    var writes: Int { locked { writeCount } }
    var renames: Int { locked { renameCount } }

    /// From now on every write waits for `pass`.
    func gate() { locked { isGated = true } }

    /// Blocks until a write has come to the gate; not for the loop's thread, which makes it come.
    func waitForArrival() { arrivals.receive() }

    /// Lets one write go on.
    func pass() { passes.send() }

    /// Lets the write at the gate go on, and takes the gate away.
    func open() {
        locked { isGated = false }
        pass()
    }

    func failWrites(_ error: Int32) { locked { writeError = error } }
    func failRenames(_ error: Int32) { locked { renameError = error } }

    var system: ScoreLogSystem {
        let real = ScoreLogSystem()
        var system = real
        system.write = { descriptor, bytes, offset in
            let isGated = self.locked {
                self.writeCount += 1
                return self.isGated
            }
            if isGated {
                self.arrivals.send()
                self.passes.receive()
            }
            let error = self.locked { self.writeError }
            guard error == 0 else {
                errno = error
                return -1
            }
            return real.write(descriptor, bytes, offset)
        }
        system.rename = { from, to in
            let error = self.locked {
                self.renameCount += 1
                return self.renameError
            }
            guard error == 0 else {
                errno = error
                return -1
            }
            return real.rename(from, to)
        }
        return system
    }
}

extension ScoreStore {
    /// A store of a folder of a test.
    static func make(
        _ folder: ScoreLogFolder, loop: IOLoop, file: GatedFile? = nil,
        compaction: ScoreLogCompactionPolicy = .init(), limits: Limits = Limits()
    ) throws -> ScoreStore {
        let (log, records, _) = try ScoreLog.open(
            folder: folder.path, compaction: compaction,
            system: file?.system ?? ScoreLogSystem())
        let pool = try BlockingPool(name: "scores", size: 1)
        return ScoreStore(
            log: ScoreLogOwner(log), records: records, pool: pool, loop: loop, limits: limits)
    }
}

extension IOLoop {
    /// Lets turns pass until the condition holds; the test's time limit ends it otherwise.
    nonisolated(nonsending) func turns(until condition: () -> Bool) async throws {
        while !condition() { try await nextTurn() }
    }
}
