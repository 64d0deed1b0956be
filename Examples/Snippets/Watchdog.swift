// The code of docs/watchdog.md.

import Updraft

func watch(_ loop: IOLoop) {
    loop.setBlockingLogThreshold(.milliseconds(100))
    loop.setBlockingSignalThreshold(.seconds(30))
}

nonisolated(nonsending) func reportLoad(of loop: IOLoop) async throws {
    var last = loop.metrics
    for try await _ in try loop.ticks(every: .seconds(10)) {
        let now = loop.metrics
        let load = now.since(last)
        print("busy \(load.busyRatio), 99 % of turns within \(load.lag.percentile(0.99))")
        last = now
    }
}

func dumpOnRequest(_ loop: IOLoop) throws {
    try loop.addSignalHandler(.sigusr1) { StandardOutput.complain(loop.dump()) }
}
