internal import CUpdraft

/// Counts what a loop does, and tells the monitor thread. On the loop's thread only.
///
/// Two readings of the system's clock a turn, one after the poll and one before the next, serve
/// everything: the busy ratio, the lag histogram, and the watchdog. After a poll that did not wait
/// one does.
struct LoopMeter {
    private let pulse: LoopPulse
    private let words: UnsafeMutablePointer<cu_pulse>
    private var busySince: Int64 = 0
    private var waitingSince: Int64 = 0
    private var busy: Int64 = 0
    private var waiting: Int64 = 0
    private var lag = LagHistogram()
    private var ready: UInt64 = 0
    private var readyLast = 0
    var callbacks: UInt64 = 0
    var timeouts: UInt64 = 0

    init(_ pulse: LoopPulse) {
        self.pulse = pulse
        words = pulse.words
    }

    /// The loop has something to do from here on.
    @inline(__always)
    mutating func beginWork() {
        let now = cu_monotonic_nanoseconds()
        if waitingSince != 0 { waiting += now - waitingSince }
        busySince = now
        cu_pulse_set_busy_since(words, now)
    }

    /// The loop waits for readiness from here on: idle time never counts (contract row G4).
    @inline(__always)
    mutating func endWork() {
        let now = cu_monotonic_nanoseconds()
        cu_pulse_set_busy_since(words, 0)
        busy += now - busySince
        lag.add(now - busySince)
        busySince = 0
        waitingSince = now
    }

    /// A poll that did not wait has ended one turn's work and begins that of the next.
    @inline(__always)
    mutating func passTurn() {
        let now = cu_monotonic_nanoseconds()
        busy += now - busySince
        lag.add(now - busySince)
        busySince = now
        cu_pulse_set_busy_since(words, now)
    }

    /// The loop was left: the time until it is started again is neither.
    mutating func leave() {
        if busySince != 0 { endWork() }
        waitingSince = 0
    }

    @inline(__always)
    func note(_ activity: LoopActivity) {
        cu_pulse_set_activity(words, activity.word)
    }

    @inline(__always)
    mutating func noteReady(_ count: Int) {
        ready &+= UInt64(truncatingIfNeeded: count)
        readyLast = count
    }

    /// What was counted, with the turn that is under way so far.
    func fill(_ metrics: inout LoopMetrics) {
        let now = cu_monotonic_nanoseconds()
        metrics.busyTime = .nanoseconds(busy + (busySince == 0 ? 0 : now - busySince))
        metrics.waitingTime = .nanoseconds(waiting)
        metrics.lag = lag
        metrics.readyDescriptors = ready
        metrics.readyDescriptorsLast = readyLast
        metrics.callbacks = callbacks
        metrics.timeouts = timeouts
    }
}
