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

/// Random numbers that come again with the same seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}

struct Broken: Error, Equatable {
    var number = 0
}

/// What `body` throws, or nil.
nonisolated(nonsending) func failure<R>(
    of body: nonisolated(nonsending) () async throws -> R
) async -> (any Error)? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

/// The kind of stream error that `body` throws; nil if it throws none.
nonisolated(nonsending) func streamFailure<R>(
    of body: nonisolated(nonsending) () async throws -> R
) async -> StreamError.Code? {
    (await failure(of: body) as? StreamError)?.code
}

extension IOLoop {
    /// Lets turns pass until the condition holds; the test's time limit ends a vain wait.
    nonisolated(nonsending) func turns(until condition: () -> Bool) async throws {
        while !condition() { try await nextTurn() }
    }

    /// Lets so many turns pass.
    nonisolated(nonsending) func turns(_ count: Int) async throws {
        for _ in 0..<count { try await nextTurn() }
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

extension String {
    var bytes: [UInt8] { Array(utf8) }
}

/// Two ends of a TCP connection over loopback; the first is the client's.
nonisolated(nonsending) func connectedPair(
    on loop: IOLoop, _ options: StreamOptions = StreamOptions()
) async throws -> (IOStream, IOStream) {
    var serverOptions = TCPServer.Options()
    serverOptions.stream = options
    let server = TCPServer(port: 0, options: serverOptions)
    var accepted: IOStream?
    try server.listen { stream in
        accepted = stream
        try await stream.closed()
    }
    var clientOptions = TCPClient.Options()
    clientOptions.stream = options
    let near = try await TCPClient.connect(
        host: "127.0.0.1", port: server.port, options: clientOptions)
    while true {
        if let far = accepted {
            server.stop()
            return (near, far)
        }
        try await loop.nextTurn()
    }
}

/// Open descriptors of this process.
func openDescriptors() -> Int {
    guard let directory = opendir("/proc/self/fd") else { return -1 }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    return count
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

/// Passes everything on to the poller of the run, and tells before each wait.
final class RecordingPoller: Poller {
    let base: any Poller
    var onWait: (Int64) -> Void = { _ in }
    let name = "recording"
    var needsRearm: Bool { base.needsRearm }

    init() throws { base = try PollerKind.chosen.make() }

    func add(_ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64) throws {
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

func streamOptions(_ change: (inout StreamOptions) -> Void) -> StreamOptions {
    var options = StreamOptions()
    change(&options)
    return options
}

func raiseSignal(_ signal: Signal) {
    kill(getpid(), signal.number)
}
