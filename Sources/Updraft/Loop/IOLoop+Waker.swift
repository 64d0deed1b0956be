internal import CUpdraft

/// Serves the loop's own wake-ups, and on the main thread the main actor's work.
private final class WakerSink: ReadinessSink {
    let waker: Waker

    init(_ waker: Waker) {
        self.waker = waker
    }

    func ready(_ events: IOEvents) {
        waker.drain()
    }

    var report: SinkReport { SinkReport(text: "the loop's waker") }
}

/// Drains libdispatch's main queue, which nothing else does while a loop holds the main thread.
private final class MainQueueSink: ReadinessSink {
    func ready(_ events: IOEvents) {
        cu_main_queue_drain()
    }

    var report: SinkReport { SinkReport(text: "the main actor's queue") }
}

extension IOLoop {
    func watchWaker() throws {
        try watch(
            executor.waker.descriptor, events: .read, mode: .level,
            sink: WakerSink(executor.waker))
        guard cu_is_main_thread() else { return }
        let descriptor = cu_main_queue_descriptor()
        // Without it `await MainActor.run` inside a loop on the main thread would hang for ever.
        if descriptor >= 0, !table.contains(descriptor) {
            try watch(descriptor, events: .read, mode: .level, sink: MainQueueSink())
        }
    }
}
