internal import CUpdraft

/// A signal of the operating system, by its POSIX number.
public struct Signal: Hashable, Sendable, CustomStringConvertible {
    /// The number, as in `signal(7)`.
    public let number: Int32

    /// A signal by its number.
    public init(_ number: Int32) {
        self.number = number
    }

    /// Hang-up (1).
    public static let sighup = Signal(1)
    /// Interrupt from the keyboard (2).
    public static let sigint = Signal(2)
    /// The end, which no program can refuse (9).
    public static let sigkill = Signal(9)
    /// Request to end (15).
    public static let sigterm = Signal(15)
    /// For the program's own use (10 on Linux).
    public static let sigusr1 = Signal(10)
    /// For the program's own use (12 on Linux).
    public static let sigusr2 = Signal(12)

    /// The usual name, or the number.
    public var description: String {
        switch number {
        case 1: "SIGHUP"
        case 2: "SIGINT"
        case 9: "SIGKILL"
        case 10: "SIGUSR1"
        case 12: "SIGUSR2"
        case 15: "SIGTERM"
        default: "signal \(number)"
        }
    }
}

/// A handle on a signal handler, for `IOLoop.removeSignalHandler`.
public struct SignalHandlerID: Hashable, Sendable {
    let signal: Signal
    let key: UInt64
}

/// The signals that one loop listens for: a pipe that the process's signal handler writes to.
final class SignalWatch: ReadinessSink {
    private struct Handler {
        let key: UInt64
        let once: Bool
        let action: () -> Void
    }

    private let readEnd: Int32
    private let writeEnd: Int32
    private var handlers: [Signal: [Handler]] = [:]
    /// Signals all of whose handlers want one of it only, and that are watched so.
    private var onceSignals: Set<Signal> = []
    private var lastKey: UInt64 = 0

    var descriptor: Int32 { readEnd }
    var isEmpty: Bool { handlers.isEmpty }

    init() throws {
        var ends: [Int32] = [-1, -1]
        try SystemError.check(cu_pipe(&ends), "pipe")
        readEnd = ends[0]
        writeEnd = ends[1]
    }

    deinit {
        for signal in handlers.keys {
            _ = cu_signal_unwatch(signal.number, writeEnd, onceSignals.contains(signal))
        }
        _ = cu_close(writeEnd)
        _ = cu_close(readEnd)
    }

    func add(
        _ signal: Signal, once: Bool, _ action: @escaping () -> Void
    ) throws -> SignalHandlerID {
        if handlers[signal] == nil {
            try SystemError.check(
                cu_signal_watch(signal.number, writeEnd, once), "watch \(signal)")
            if once { onceSignals.insert(signal) }
        } else if !once {
            try rewatch(signal, once: false)
        }
        lastKey += 1
        handlers[signal, default: []].append(Handler(key: lastKey, once: once, action: action))
        return SignalHandlerID(signal: signal, key: lastKey)
    }

    func remove(_ id: SignalHandlerID) {
        guard var list = handlers[id.signal] else { return }
        list.removeAll { $0.key == id.key }
        handlers[id.signal] = list.isEmpty ? nil : list
        if list.isEmpty {
            let isOnce = onceSignals.remove(id.signal) != nil
            _ = cu_signal_unwatch(id.signal.number, writeEnd, isOnce)
        } else if list.allSatisfy(\.once) {
            // Should no slot be free for a moment, the signal stays watched as it is.
            try? rewatch(id.signal, once: true)
        }
    }

    private func rewatch(_ signal: Signal, once: Bool) throws {
        let wasOnce = onceSignals.contains(signal)
        if wasOnce == once { return }
        // First the new one: in between the signal would end the process.
        try SystemError.check(cu_signal_watch(signal.number, writeEnd, once), "watch \(signal)")
        _ = cu_signal_unwatch(signal.number, writeEnd, wasOnce)
        if once { onceSignals.insert(signal) } else { onceSignals.remove(signal) }
    }

    var report: SinkReport {
        let names = handlers.keys.map { "\($0)" }.sorted().joined(separator: ", ")
        return SinkReport(text: "signals: \(names)")
    }

    func ready(_ events: IOEvents) {
        var numbers = [UInt8](repeating: 0, count: 64)
        let count = cu_read(readEnd, &numbers, numbers.count)
        guard count > 0 else { return }
        for number in numbers[..<count] {
            let signal = Signal(Int32(number))
            for handler in handlers[signal] ?? [] {
                // One handler may remove another, which then does not run.
                let isStillThere = handlers[signal]?.contains { $0.key == handler.key } ?? false
                if isStillThere { handler.action() }
            }
        }
    }
}

extension IOLoop {
    /// Calls `handler` on the loop's thread, as an event like any other, each time the process
    /// gets `signal`. As long as there is a handler, the signal's default action (ending the
    /// process, mostly) is off; with the last one it comes back. Several loops may listen for one
    /// signal; each gets it. Contract rows D5, P1.
    ///
    /// - Throws: `SystemError` for signals that can't be caught.
    @discardableResult
    public func addSignalHandler(
        _ signal: Signal, _ handler: @escaping () throws -> Void
    ) throws -> SignalHandlerID {
        checkThread("IOLoop.addSignalHandler")
        return try addSignalHandler(signal, once: false, handler)
    }

    /// - Parameter once: From the delivery of the first signal on, before any loop has seen it, the
    ///   default action is back, unless others handle the signal for longer.
    fileprivate func addSignalHandler(
        _ signal: Signal, once: Bool, _ handler: @escaping () throws -> Void
    ) throws -> SignalHandlerID {
        let watch = try signals ?? makeSignalWatch()
        return try watch.add(signal, once: once) { [unowned self] in
            guarded("A signal handler", handler)
        }
    }

    /// Takes a signal handler back.
    public func removeSignalHandler(_ id: SignalHandlerID) {
        checkThread("IOLoop.removeSignalHandler")
        signals?.remove(id)
    }

    /// Waits for the next of `wanted` and returns it.
    ///
    /// - Throws: `CancellationError`; `TimeoutError`; `SystemError` as `addSignalHandler`.
    public nonisolated(nonsending) func signal(_ wanted: Set<Signal>) async throws -> Signal {
        checkThread("IOLoop.signal")
        return try await SignalWait(self, wanted).value
    }

    private func makeSignalWatch() throws -> SignalWatch {
        let made = try SignalWatch()
        try watch(made.descriptor, events: .read, mode: .level, sink: made)
        signals = made
        return made
    }
}

/// A wait for the first of some signals, which are watched from the start on.
final class SignalWait {
    private let loop: IOLoop
    private let waiter: Waiter
    private var received: Signal?
    private var ids: [SignalHandlerID] = []

    /// - Parameter once: See `addSignalHandler`; for signals that end the program.
    init(_ loop: IOLoop, _ wanted: Set<Signal>, once: Bool = false) throws {
        self.loop = loop
        waiter = Waiter(loop: loop)
        for signal in wanted {
            ids.append(
                try loop.addSignalHandler(signal, once: once) { [weak self] in
                    self?.receive(signal)
                })
        }
    }

    deinit {
        stopWatching()
    }

    /// The signal. Afterwards signals have their default action again.
    var value: Signal {
        get async throws {
            if received == nil {
                do {
                    try await waiter.wait(for: .signal)
                } catch {
                    stopWatching()
                    throw error
                }
            }
            guard let received else { throw CancellationError() }
            return received
        }
    }

    private func receive(_ signal: Signal) {
        if received == nil { received = signal }
        stopWatching()
        waiter.fire()
    }

    private func stopWatching() {
        for id in ids { loop.removeSignalHandler(id) }
        ids = []
    }
}
