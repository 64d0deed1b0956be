import Glibc
import Synchronization
import Testing
import Updraft
import UpdraftTesting

#if THREAD_SANITIZER
    let isThreadSanitized = true
    typealias Mutex = SanitizedMutex
#else
    let isThreadSanitized = false
#endif

extension Trait where Self == ConditionTrait {
    /// For tests that interrupt a thread which computes. ThreadSanitizer keeps a signal back until
    /// the thread calls the C library, so that the stack is never that of the computation.
    static var interruptsSpinning: Self {
        .disabled(if: isThreadSanitized, "ThreadSanitizer keeps signals back")
    }
}

/// A flag that several threads may look at.
final class Flag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .sequentiallyConsistent) }
    func set() { value.store(true, ordering: .sequentiallyConsistent) }
}

final class Counter: Sendable {
    private let number = Atomic(0)
    var value: Int { number.load(ordering: .sequentiallyConsistent) }
    func add(_ count: Int = 1) { number.add(count, ordering: .sequentiallyConsistent) }
}

/// A pipe of the system, closed with the object.
final class SystemPipe {
    private(set) var readEnd: Int32
    private(set) var writeEnd: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        precondition(pipe(&ends) == 0)
        for end in ends {
            precondition(fcntl(end, F_SETFL, O_NONBLOCK) == 0)
            precondition(fcntl(end, F_SETFD, FD_CLOEXEC) == 0)
        }
        readEnd = ends[0]
        writeEnd = ends[1]
    }

    deinit {
        closeRead()
        closeWrite()
    }

    func put(_ bytes: [UInt8] = [1]) {
        precondition(Glibc.write(writeEnd, bytes, bytes.count) == bytes.count)
    }

    @discardableResult
    func take(_ count: Int = 1) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = Glibc.read(readEnd, &bytes, count)
        return Array(bytes.prefix(max(0, got)))
    }

    func closeRead() {
        if readEnd >= 0 { _ = Glibc.close(readEnd) }
        readEnd = -1
    }

    func closeWrite() {
        if writeEnd >= 0 { _ = Glibc.close(writeEnd) }
        writeEnd = -1
    }
}

/// Runs `body` on a new thread, which has no loop.
func onFreshThread(_ body: @escaping @Sendable () throws -> Void) async throws {
    let pool = try BlockingPool(name: "fresh", size: 1)
    defer { pool.close() }
    try await withCheckedThrowingContinuation { continuation in
        do {
            try pool.submit { continuation.resume(with: Result { try body() }) }
        } catch {
            continuation.resume(throwing: error)
        }
    }
}

/// Takes every write and tells of it; nothing ever comes to read.
final class SinkTransport: Transport {
    var descriptor: Int32? { nil }
    var onReady: ((IOEvents) -> Void)?
    private let onWrite: ([UInt8]) -> Void

    init(onWrite: @escaping ([UInt8]) -> Void) { self.onWrite = onWrite }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> TransportRead { .wouldBlock }
    func write(_ bytes: UnsafeRawBufferPointer) throws -> Int {
        onWrite(Array(bytes))
        return bytes.count
    }
    func shutdownWrite() {}
    func takePendingError() -> SystemError? { nil }
    func close() {}
    func abort() {}
}

/// Passes everything on to the poller of the run, and tells before it adds and before each wait.
final class RecordingPoller: Poller {
    let base: any Poller
    var onAdd: (Int32) throws -> Void = { _ in }
    var onWait: (Int64) -> Void = { _ in }
    let name = "recording"
    var needsRearm: Bool { base.needsRearm }

    init() throws { base = try PollerKind.chosen.make() }

    func add(_ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64) throws {
        try onAdd(descriptor)
        try base.add(descriptor, events: events, mode: mode, token: token)
    }
    func modify(_ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64) throws {
        try base.modify(descriptor, events: events, mode: mode, token: token)
    }
    func remove(_ descriptor: Int32) throws { try base.remove(descriptor) }
    func rearm(_ descriptor: Int32, events: IOEvents) {
        base.rearm(descriptor, events: events)
    }
    func wait(
        timeoutNanoseconds: Int64, into events: UnsafeMutableBufferPointer<PollEvent>
    ) throws -> Int {
        onWait(timeoutNanoseconds)
        return try base.wait(timeoutNanoseconds: timeoutNanoseconds, into: events)
    }
    func close() { base.close() }
}

func raiseSignal(_ signal: Signal) {
    kill(getpid(), signal.number)
}
