/// A transport over another transport.
package protocol LayeredTransport: Transport {
    /// What carries its bytes.
    var base: any Transport { get }

    /// A server stops: the stream's input ends as soon as nothing is in flight.
    func inputIsEnding()

    /// What has ended it, if reading has found that out: it says more than what befell the base, as
    /// an alert does that came before a reset.
    var failure: (any Error)? { get }

    /// Whether `close` was called and the base is still in use: last words are being sent, or the
    /// peer has to read them. `abort` ends it.
    var isLingering: Bool { get }

    /// Called when that ends.
    var onRelease: (() -> Void)? { get set }
}

/// Tells a layered transport when its base is ready, before any stream: the base may have to write
/// before more can be read, and the reverse.
package final class TransportWatch {
    private let base: any Transport
    private let loop: IOLoop
    private var sink: Sink?

    /// The descriptor's place in the loop. It holds its user weakly: whoever is ready last is not
    /// kept alive by the loop.
    private final class Sink: ReadinessSink {
        let onReady: (IOEvents) -> Void

        init(_ onReady: @escaping (IOEvents) -> Void) {
            self.onReady = onReady
        }

        var report: SinkReport { SinkReport(text: "beneath a stream without a descriptor") }

        func ready(_ events: IOEvents) { onReady(events) }
    }

    /// Watches the base from now on.
    ///
    /// - Parameter onReady: Called on the loop's thread until `stop`. It should hold the transport
    ///   above weakly.
    /// - Throws: `SystemError` if the base's descriptor can't be watched.
    package init(
        _ base: any Transport, on loop: IOLoop, _ onReady: @escaping (IOEvents) -> Void
    ) throws {
        self.base = base
        self.loop = loop
        guard let descriptor = base.descriptor else {
            base.onReady = onReady
            return
        }
        let sink = Sink(onReady)
        try loop.watch(
            descriptor, events: [.read, .write, .readHangup, .shortReads, .error], mode: .edge,
            sink: sink)
        self.sink = sink
    }

    /// Watches no more; before the base is closed.
    package func stop() {
        if let descriptor = base.descriptor {
            if sink != nil { loop.unwatch(descriptor) }
            sink = nil
        } else {
            base.onReady = nil
        }
    }

    /// Says that an attempt found the base drained in these directions.
    @inline(__always)
    package func drained(_ events: IOEvents) {
        if loop.poller.needsRearm, let descriptor = base.descriptor {
            loop.poller.rearm(descriptor, events: events)
        }
    }
}
