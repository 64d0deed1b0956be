import Testing
import UpdraftTesting

@testable import Updraft

/// `IOLoop.metrics`: row U1, theme "Loop blocked; no visibility" of part 4.1.
@Suite struct MetricsTests {
    @Test func countsTurnsCallbacksAndTimeouts() async throws {
        try await withVirtualLoop { loop in
            let before = loop.metrics
            for _ in 0..<7 { loop.addCallback {} }
            for _ in 0..<5 { loop.callLater(.seconds(1)) {} }
            let later = loop.callLater(.seconds(60)) {}
            #expect(loop.metrics.timeoutsPending == before.timeoutsPending + 6)
            try await loop.sleep(for: .seconds(2))
            let done = loop.metrics.since(before)
            #expect(done.callbacks == 7)
            #expect(done.timeouts == 6, "five and the sleep")
            #expect(done.turns >= 2)
            #expect(done.timeoutsPending == before.timeoutsPending + 1)
            #expect(done.lag.count == done.turns)
            loop.removeTimeout(later)
        }
    }

    @Test func countsReadyDescriptors() async throws {
        try await withLoop { loop in
            let pipes = (0..<3).map { _ in SystemPipe() }
            // Optimised code would close them after their last use.
            defer { withExtendedLifetime(pipes) {} }
            for pipe in pipes {
                try loop.addHandler(pipe.readEnd, events: .read) { descriptor, _ in
                    loop.removeHandler(descriptor)
                }
                pipe.put()
            }
            let before = loop.metrics
            try await loop.nextTurn()
            #expect(loop.metrics.readyDescriptorsLast == 3)
            #expect(loop.metrics.since(before).readyDescriptors == 3)
            try await loop.nextTurn()
            #expect(loop.metrics.readyDescriptorsLast == 0)
            #expect(loop.metrics.since(before).readyDescriptors == 3)
        }
    }

    @Test func countsStreamsAndTasks() async throws {
        try await withLoop { loop in
            let before = loop.metrics
            let (near, far) = try MemoryStream.pair(on: loop)
            let reader = loop.spawn { _ = try await far.read(exactly: 1) }
            #expect(loop.metrics.streamsOpen == before.streamsOpen + 2)
            #expect(loop.metrics.tasks == before.tasks + 1)
            near.abort()
            far.abort()
            await reader.value
            #expect(loop.metrics.streamsOpen == before.streamsOpen)
            #expect(loop.metrics.tasks == before.tasks)
        }
    }

    @Test func workIsBusyTimeAndLagAndWaitingIsNeither() async throws {
        try await withLoop { loop in
            let before = loop.metrics
            work(for: .milliseconds(30), on: loop)
            #expect(loop.metrics.since(before).busyTime >= .milliseconds(30), "as it goes on")
            try await loop.sleep(for: .milliseconds(60))
            let load = loop.metrics.since(before)
            #expect(load.busyTime >= .milliseconds(30))
            #expect(load.waitingTime > .zero)
            #expect(load.busyRatio > 0 && load.busyRatio < 1)
            #expect(load.lag.longest >= .milliseconds(30))
            #expect(load.lag.percentile(1) >= .milliseconds(30))
        }
    }

    private func work(for duration: Duration, on loop: IOLoop) {
        let end = loop.now.advanced(by: duration)
        while loop.now < end {}
    }

    @Test func theHistogramDoublesFromBucketToBucket() {
        var lag = LagHistogram()
        let first = LagHistogram.upperBounds[0]
        #expect(first == .nanoseconds(8_192))
        #expect(LagHistogram.upperBounds.count == lag.counts.count - 1)
        for (lower, upper) in zip(LagHistogram.upperBounds, LagHistogram.upperBounds.dropFirst()) {
            #expect(upper == lower * 2)
        }
        lag.add(0)
        lag.add(8_191)
        #expect(lag.counts[0] == 2)
        for (bucket, bound) in LagHistogram.upperBounds.enumerated() {
            var one = LagHistogram()
            one.add(bound.wholeNanoseconds - 1)
            #expect(one.counts[bucket] == 1)
            one.add(bound.wholeNanoseconds)
            #expect(one.counts[bucket + 1] == 1)
        }
        lag.add(Int64.max)
        #expect(lag.counts.last == 1 && lag.longest == .nanoseconds(Int64.max))
    }

    @Test func percentilesAreTheEndsOfBuckets() {
        var lag = LagHistogram()
        #expect(lag.percentile(0.5) == .zero)
        for _ in 0..<99 { lag.add(5_000) }
        lag.add(1_000_000)
        #expect(lag.percentile(0.5) == .nanoseconds(8_192))
        #expect(lag.percentile(0.99) == .nanoseconds(8_192))
        #expect(lag.percentile(1) == .nanoseconds(1_000_000))
        var later = lag
        later.add(30_000)
        let between = later.since(lag)
        #expect(between.count == 1 && between.percentile(0.5) == .nanoseconds(32_768))
    }
}
