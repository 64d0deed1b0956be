import Glibc

/// The times of the process, or of the calling thread, in nanoseconds.
struct Times {
    var user: Double
    var system: Double
    var wall: Double

    static func now(thread: Bool = false) -> Times {
        var usage = rusage()
        // RUSAGE_THREAD is a macro that Swift does not see.
        getrusage(thread ? 1 : Int32(RUSAGE_SELF.rawValue), &usage)
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Times(
            user: Double(usage.ru_utime.tv_sec) * 1e9 + Double(usage.ru_utime.tv_usec) * 1e3,
            system: Double(usage.ru_stime.tv_sec) * 1e9 + Double(usage.ru_stime.tv_usec) * 1e3,
            wall: Double(time.tv_sec) * 1e9 + Double(time.tv_nsec))
    }
}

/// Prints what each of `count` operations has taken since `start`: who, what, and the user, system
/// and elapsed nanoseconds, and how many turns of the loop.
func report(
    _ who: String, _ what: String, _ count: Int, since start: Times, thread: Bool = false,
    turns: Int? = nil
) {
    let end = Times.now(thread: thread)
    func each(_ sum: Double) -> String {
        let tenths = Int(sum / Double(count) * 10)
        return "\(tenths / 10).\(tenths % 10)"
    }
    let times = [\Times.user, \.system, \.wall].map {
        each(end[keyPath: $0] - start[keyPath: $0])
    }
    let columns = times + (turns.map { [each(Double($0))] } ?? [])
    print(who, what, columns.joined(separator: " "))
}

/// The same numbers in every run, and in `c/bench.h` (SplitMix64).
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Delays of up to a second, in whole milliseconds, as libuv has them.
func randomDelays(_ count: Int) -> [Duration] {
    var random = SplitMix(seed: 1)
    return (0..<count).map { _ in .milliseconds(Int64(random.next() % 1_000) + 1) }
}

/// What the timers belong to.
final class Session {
    private(set) var fired = 0

    func expire() {
        fired += 1
    }
}
