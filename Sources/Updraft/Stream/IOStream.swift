/// A two-way stream of bytes on a loop: a TCP connection, mostly.
///
/// Reading and writing are plain `async` calls that never leave the loop's thread:
///
/// ```swift
/// let request = try await stream.read(until: "\r\n\r\n", maxBytes: 65_536)
/// try await stream.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
/// ```
///
/// One task reads at a time; any number may write, and what they write leaves in the order of the
/// calls; a file that is sent by its path takes its place when it is open. A stream belongs to its
/// loop's thread. The loop keeps it until it is closed, so close it: servers do that when the
/// handler returns. Contract rows J1-J20.
public final class IOStream {
    /// The loop that the stream lives on.
    public let loop: IOLoop

    /// Bounds on the stream's buffers.
    public var options: StreamOptions { sharedOptions.value }

    let sharedOptions: SharedStreamOptions
    @exclusivity(unchecked) package internal(set) var transport: any Transport
    // Unchecked exclusivity, here and in the loop's hot state: one thread owns it, and the dynamic
    // checks cost some 1,100 instructions a message. Nothing below may be changed while it is lent.
    @exclusivity(unchecked) var phase = Phase.open
    /// Whether this side has called `close`, whatever became of the stream after that.
    @exclusivity(unchecked) var isClosedHere = false
    @exclusivity(unchecked) var input = Input.open
    @exclusivity(unchecked) var output = Output.open
    /// What the transport is known to be ready for.
    @exclusivity(unchecked) var readiness: IOEvents = [.write]

    @exclusivity(unchecked) var readBuffer = ReadBuffer()
    let readWaiter: Waiter
    /// What the read that waits is for.
    @exclusivity(unchecked) var readGoal = ReadGoal.anyBytes
    /// Whether that read has taken bytes out of the buffer already.
    @exclusivity(unchecked) var hasPartOfRead = false
    @exclusivity(unchecked) var isInputScheduled = false
    @exclusivity(unchecked) var consumer: StreamConsumer?
    var isConsumerPaused = false
    /// Whether the consumer is looking at bytes: they must stay as they are.
    @exclusivity(unchecked) var isInParser = false
    @exclusivity(unchecked) private var budgetTurn: UInt64 = 0
    /// Of the share of that turn: bytes received, or sent from files; and bytes sent in all.
    @exclusivity(unchecked) private var budgetUsed: UInt32 = 0
    @exclusivity(unchecked) private var budgetSent: UInt32 = 0

    @exclusivity(unchecked) var writeQueue = WriteQueue()
    @exclusivity(unchecked) var writtenTotal: UInt64 = 0
    /// Bytes that were written and never sent, because the stream closed first.
    var droppedTotal: UInt64 = 0
    /// Who waits for bytes to leave; made when somebody does.
    @exclusivity(unchecked) var sendLine: SendLine?
    @exclusivity(unchecked) var isInFlushQueue = false
    var isSendScheduled = false
    @exclusivity(unchecked) var lowUnsentRequest: LowUnsentRequest?

    var closeCallbacks: [CloseCallback] = []
    var closing: Closing?
    @exclusivity(unchecked) var isDraining = false
    /// Whether the peer's end closes the stream although nobody reads.
    @exclusivity(unchecked) var noticesEnd = false

    enum Phase {
        case open
        /// `close` was called; unsent bytes are still being sent.
        case closing
        /// All was sent and ended; what the peer still sends is read and dropped.
        case lingering
        case closed(StreamError)
    }

    enum Input {
        case open
        /// The peer has ended its direction.
        case ended
    }

    enum Output {
        case open
        /// `endWriting` was called: ended once all is sent.
        case ending
        case ended
    }

    /// A class, like the two below it: what few streams have is a pointer in all of them.
    final class LowUnsentRequest {
        let bytes: Int
        let callback: () -> Void

        init(bytes: Int, callback: @escaping () -> Void) {
            self.bytes = bytes
            self.callback = callback
        }
    }

    /// A class, so that a wait that was given up can take its own back.
    final class CloseCallback {
        let action: () -> Void

        init(_ action: @escaping () -> Void) {
            self.action = action
        }
    }

    /// What a stream that is being closed knows.
    final class Closing {
        /// How long to read and drop what the peer still sends; nil to find out whether it does.
        let lingerTime: Duration?
        var timer: Timeout?

        init(lingerTime: Duration?) {
            self.lingerTime = lingerTime
        }
    }

    /// Makes a stream over a transport and starts to watch it.
    ///
    /// - Throws: `SystemError` if the transport's descriptor can't be watched.
    public convenience init(
        _ transport: any Transport, loop: IOLoop, options: StreamOptions = StreamOptions()
    ) throws {
        try self.init(transport, loop: loop, sharing: SharedStreamOptions(options))
    }

    /// For servers, whose streams share their options.
    init(
        _ transport: any Transport, loop: IOLoop, sharing options: SharedStreamOptions
    ) throws {
        self.loop = loop
        self.transport = transport
        sharedOptions = options
        readWaiter = Waiter(loop: loop)
        loop.checkThread("IOStream")
        try watchTransport()
        loop.openStreams += 1
    }

    func watchTransport() throws {
        if transport.readsMayStopShort { readiness.insert(.shortReads) }
        if let descriptor = transport.descriptor {
            try loop.watch(
                descriptor, events: [.read, .write, .readHangup, .shortReads, .error], mode: .edge,
                sink: self)
        } else {
            loop.keptSinks[ObjectIdentifier(self)] = self
            transport.onReady = { [weak self] events in self?.ready(events) }
        }
    }

    func unwatchTransport() {
        if let descriptor = transport.descriptor {
            loop.unwatch(descriptor)
        } else {
            loop.keptSinks[ObjectIdentifier(self)] = nil
        }
        transport.onReady = nil
    }

    /// Whether the stream is closed, or closing, so that nothing more can be written.
    public var isClosed: Bool {
        if case .open = phase { return false }
        return true
    }

    /// Whether a task waits for bytes.
    public var isReading: Bool { readWaiter.isInUse }

    /// Whether unsent bytes wait.
    public var isWriting: Bool { !writeQueue.isEmpty }

    /// Unsent bytes.
    public var unsentBytes: Int { writeQueue.count }

    /// Why the stream closed, if it is closed.
    public var closeReason: StreamError? {
        if case .closed(let reason) = phase { return reason }
        return nil
    }

    /// Whether this stream has had its share of the turn.
    var isOverBudget: Bool { budgetLeft <= 0 }

    /// Bytes that are left of it.
    var budgetLeft: Int {
        let share = max(1, loop.limits.streamBytesMax)
        return budgetTurn == loop.turnNumber ? share - Int(budgetUsed) : share
    }

    /// Bytes that it may still send in this turn: a peer that takes all it is given must not keep
    /// the loop, nor the task that writes, from everything else.
    ///
    /// - Parameter pastShare: As for `sendPending`.
    func sendShareLeft(pastShare: Bool) -> Int {
        let isAtFile = writeQueue.isAtFile
        if pastShare && !isAtFile { return .max }
        let share = max(1, loop.limits.streamBytesMax)
        guard budgetTurn == loop.turnNumber else { return share }
        return share - Int(isAtFile ? max(budgetSent, budgetUsed) : budgetSent)
    }

    /// As `sendNow`, but no more than the stream's share of the turn; the rest follows later.
    package func sendShareNow() {
        loop.checkThread("IOStream")
        readiness.insert(.write)
        sendPending()
    }

    func spend(_ bytes: Int, sent: Int = 0) {
        if budgetTurn != loop.turnNumber {
            budgetTurn = loop.turnNumber
            budgetUsed = 0
            budgetSent = 0
        }
        budgetUsed = UInt32(clamping: Int(budgetUsed) + bytes)
        budgetSent = UInt32(clamping: Int(budgetSent) + sent)
    }
}

extension IOStream: ReadinessSink {
    /// The transport became ready: on the loop's thread, from its poll.
    func ready(_ events: IOEvents) {
        if events.meets(.error) { noticeFailure() }
        readiness.formUnion(events.intersection([.write, .shortReads]))
        if events.meets([.read, .readHangup, .error]) { readiness.insert(.read) }
        if events.meets([.readHangup, .error]) { readiness.insert(.readHangup) }
        if readiness.contains(.write), !writeQueue.isEmpty || output == .ending { sendPending() }
        if readiness.contains(.read) { takeInput() }
    }

    func loopIsClosing() {
        sendPending(pastShare: true)
        // What is left unsent must not look complete to the peer.
        finish(StreamError(.closed, "The loop was closed."), abort: !writeQueue.isEmpty)
    }

    private func noticeFailure() {
        if let error = transport.takePendingError() { fail(error) }
    }

    /// Closes the stream after a failure, and keeps what came before it for its readers (J16):
    /// looking at a socket's error takes the error away, so that later reads would see a clean end.
    package func fail(_ error: any Error) {
        // A write of the parser's has failed. Here the parser would be called again from inside.
        if isInParser {
            readiness.subtract(.write)
            return loop.addCallback { [self] in fail(error) }
        }
        // A paused parser gets nothing any more, so there is nothing to keep for it.
        if case .open = phase, input == .open, !isConsumerPaused { keepUnread() }
        readiness.subtract(.read)
        pumpConsumer()
        finish(failedBy: (transport as? any LayeredTransport)?.failure ?? error)
    }

    /// Frees the transport because it has failed.
    ///
    /// - Returns: Why the stream is closed.
    @discardableResult
    func finish(failedBy error: any Error) -> StreamError {
        let reason = StreamError(.closed, "The connection failed.", cause: error)
        // What is left unsent must not look complete to the peer. A layer such as TLS that refuses
        // to go on tells that to the peer itself, with what `close` still sends.
        finish(reason, abort: !writeQueue.isEmpty && error is SystemError)
        return reason
    }

    /// Takes over what the transport still holds, up to the buffer's limit.
    private func keepUnread() {
        while readBuffer.count < options.readBufferMax,
            case .bytes(let count)? = try? transport.read(into: scratchForRoom)
        {
            readBuffer.append(UnsafeRawBufferPointer(rebasing: loop.buffers.scratch[..<count]))
        }
    }
}
