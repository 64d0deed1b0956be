/// What a loop has done so far, and what it has on its hands: a snapshot, by `IOLoop.metrics`.
///
/// ```swift
/// let before = loop.metrics
/// try await loop.sleep(for: .seconds(10))
/// let load = loop.metrics.since(before)
/// print("busy \(load.busyRatio), lag p99 \(load.lag.percentile(0.99))")
/// ```
public struct LoopMetrics: Sendable {
    /// Turns that have begun.
    public internal(set) var turns: UInt64 = 0

    /// Callbacks that have run, the library's own among them.
    public internal(set) var callbacks: UInt64 = 0

    /// Timeouts that have run, sleeps of tasks and expired `withTimeout`s among them.
    public internal(set) var timeouts: UInt64 = 0

    /// Timeouts that wait for their time.
    public internal(set) var timeoutsPending = 0

    /// Descriptors that polls have reported as ready, in all.
    public internal(set) var readyDescriptors: UInt64 = 0

    /// Descriptors that the last poll has reported.
    public internal(set) var readyDescriptorsLast = 0

    /// Streams that have not been closed.
    public internal(set) var streamsOpen = 0

    /// Bytes in memory that streams and sockets have received and nobody has read yet, or that
    /// were written and the kernel has not taken yet. Files on their way out do not count.
    public internal(set) var bufferedBytes = 0

    /// Tasks that the loop has started and that have not ended.
    public internal(set) var tasks = 0

    /// Time spent working: from the end of each poll to the beginning of the next, and in polls
    /// that did not wait because something was ready to run.
    public internal(set) var busyTime = Duration.zero

    /// Time spent in polls that waited.
    public internal(set) var waitingTime = Duration.zero

    /// How long turns took, from poll to poll: how long what became ready had to wait for the loop.
    public internal(set) var lag = LagHistogram()

    /// The part of its time in which the loop worked, from 0 to 1; 0 before it ran.
    ///
    /// Near 1 the loop is at its limit: what comes in waits for what came before.
    public var busyRatio: Double {
        let all = busyTime + waitingTime
        return all > .zero ? busyTime / all : 0
    }

    /// What was counted between an earlier snapshot and this one; what is pending or open is as in
    /// this one.
    public func since(_ earlier: LoopMetrics) -> LoopMetrics {
        var difference = self
        difference.turns &-= earlier.turns
        difference.callbacks &-= earlier.callbacks
        difference.timeouts &-= earlier.timeouts
        difference.readyDescriptors &-= earlier.readyDescriptors
        difference.busyTime -= earlier.busyTime
        difference.waitingTime -= earlier.waitingTime
        difference.lag = lag.since(earlier.lag)
        return difference
    }
}

/// How long a loop's turns took: counts in buckets, each twice as wide as the one before.
public struct LagHistogram: Sendable {
    /// The least time that is no longer in the bucket, for each but the last, which has no end:
    /// 8,192 ns, then doubling, up to 8.6 s.
    public static let upperBounds: [Duration] = (0..<bucketCount - 1).map {
        .nanoseconds(Int64(1) << (firstBits + $0))
    }

    /// Turns in each bucket, from the shortest; one more than there are bounds.
    public private(set) var counts = ContiguousArray<UInt64>(repeating: 0, count: bucketCount)

    /// The longest turn so far; also in what `LoopMetrics.since` returns.
    public var longest: Duration { .nanoseconds(longestNanoseconds) }

    private static let bucketCount = 22
    private static let firstBits = 13
    private var longestNanoseconds: Int64 = 0

    init() {}

    /// Turns in all buckets.
    public var count: UInt64 { counts.reduce(0, +) }

    /// A time that so large a part of the turns stayed below: the end of the bucket in which the
    /// part is reached, or `longest` if that is less. Zero if there were no turns.
    ///
    /// - Parameter part: From 0 to 1, as in 0.99.
    public func percentile(_ part: Double) -> Duration {
        let wanted = Double(count) * min(max(part, 0), 1)
        var sum: UInt64 = 0
        for (bucket, count) in counts.enumerated() where count > 0 {
            sum += count
            guard Double(sum) >= wanted else { continue }
            let bounds = LagHistogram.upperBounds
            return bucket < bounds.count ? min(bounds[bucket], longest) : longest
        }
        return .zero
    }

    @inline(__always)
    mutating func add(_ nanoseconds: Int64) {
        let wide = UInt64(truncatingIfNeeded: nanoseconds) >> UInt64(LagHistogram.firstBits)
        let bucket = min(UInt64.bitWidth - wide.leadingZeroBitCount, LagHistogram.bucketCount - 1)
        counts[bucket] &+= 1
        if nanoseconds > longestNanoseconds { longestNanoseconds = nanoseconds }
    }

    func since(_ earlier: LagHistogram) -> LagHistogram {
        var difference = self
        for bucket in counts.indices { difference.counts[bucket] &-= earlier.counts[bucket] }
        return difference
    }
}

extension IOLoop {
    /// What the loop has done so far. On the loop's thread; cheap enough to ask every second.
    public var metrics: LoopMetrics {
        checkThread("IOLoop.metrics")
        finishRemovals()
        var metrics = LoopMetrics()
        meter.fill(&metrics)
        metrics.turns = turnNumber
        metrics.timeoutsPending = timers.count
        metrics.streamsOpen = openStreams
        metrics.bufferedBytes = keptSinks.values.reduce(table.heldBytes) {
            $0 + $1.heldBytes
        }
        metrics.tasks = taskCount
        return metrics
    }
}
