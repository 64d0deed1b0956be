import Glibc
import TestSupport
import Updraft
import UpdraftTesting

/// Blocks the calling thread, working, until the condition holds, for two seconds at the most.
///
/// On a machine that has too much to do, a turn may be reported for what came before this; then
/// nothing more comes in this turn, and whoever blocks has to try again in another one.
@inline(never)
func spin(until condition: () -> Bool) {
    let clock = ContinuousClock()
    let end = clock.now.advanced(by: .seconds(2))
    while !condition(), clock.now < end { sched_yield() }
}

/// Blocks the calling thread in a system call, for two seconds at the most; a signal ends it.
@inline(never)
func blockInAPoll() {
    var nothing = pollfd(fd: -1, events: 0, revents: 0)
    _ = Glibc.poll(&nothing, 1, 2_000)
    withExtendedLifetime(nothing) {}
}

extension IOLoop {
    /// Blocks turns, each in `block`, until one more is reported with these texts.
    nonisolated(nonsending) func blockTurns(
        untilReportedIn lines: LogLines, with texts: [String],
        _ block: nonisolated(nonsending) (_ isReported: @escaping () -> Bool) async throws -> Void
    ) async throws {
        func count() -> Int {
            lines.all.filter { line in texts.allSatisfy { line.contains($0) } }.count
        }
        let before = count()
        while count() == before {
            try await block { count() > before }
            try await nextTurn()
        }
    }
}
