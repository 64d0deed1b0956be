internal import Logging
internal import MessagePack
internal import Synchronization
public import Updraft

/// The other side of an RPC connection: what it is called through, and what its calls come from.
///
/// Servers and clients have the same kind of peer; either side may call the other at any time.
///
/// ```swift
/// let peer = try await RPCClient.connect(host: "127.0.0.1", port: 5700)
/// let n: Int = try await peer.call("sum", 1, 2)
/// try peer.notify("event", n)
/// peer.close()
/// ```
///
/// A peer belongs to its loop's thread. The loop keeps it until it is closed.
public final class RPCPeer {
    /// Tells connections of this process apart; never used twice.
    public let id: UInt64

    /// The loop that the connection lives on.
    public let loop: IOLoop

    /// Whom the connection is to; nil if it is no socket.
    public let address: SocketAddress?

    /// A place for whatever the application keeps per connection.
    public var userData: Any?

    let stream: IOStream
    let context: RPCContext
    var phase = Phase.open
    var intake = RequestIntake()
    var calls = PendingCalls()
    var tasks: [UInt64: RequestTask] = [:]
    var lastTaskKey: UInt64 = 0
    let allTasksEnded: Waiter
    var stallWatch = StallWatch.off

    private var scanner: MessagePackScanner
    private var strayFrames = 0
    /// Runs while part of a message is there.
    private var messageTimer: Timeout?
    var dispatchDepth = 0
    var endWaiters: [Waiter] = []
    var closeCallbacks: [(RPCPeer) -> Void] = []
    /// Names in a server's `users` that stand for this peer.
    var userNames: Set<String> = []

    enum Phase {
        case open
        /// No more requests are taken; those in progress are answered, then the connection ends.
        /// The flag: something came meanwhile, so the peer may still be sending.
        case draining(isPeerSending: Bool)
        /// The peer has ended its direction: its requests in progress are answered still.
        case inputEnded
        /// What was written is being sent.
        case closing
        case closed
    }

    /// A request of the peer's that an asynchronous method works on.
    struct RequestTask {
        let method: String
        let task: Task<Void, Never>
    }

    private static let lastID = Atomic<UInt64>(0)

    /// Frames in a row that are no arrays, beyond which the peer does not speak this protocol.
    static let strayFramesMax = 64

    /// How long a peer that is still sending has to take the last bytes.
    static let lingerTime = Duration.seconds(2)

    init(_ stream: IOStream, context: RPCContext) {
        id = RPCPeer.lastID.add(1, ordering: .relaxed).newValue
        loop = stream.loop
        address = stream.peerAddress
        self.stream = stream
        self.context = context
        allTasksEnded = Waiter(loop: stream.loop)
        scanner = MessagePackScanner(
            bytesMax: context.options.messageBytesMax, depthMax: context.options.nestingMax)
    }

    /// Speaks RPC over a stream of your own: a Unix socket, TLS, memory in tests.
    ///
    /// - Parameters:
    ///   - stream: Open, read by nobody else; the peer closes it.
    ///   - methods: What the other side may call.
    /// - Throws: What `RPCMethods.validate` throws.
    public convenience init(
        stream: IOStream, options: RPCOptions = RPCOptions(), methods: RPCMethods = RPCMethods()
    ) throws {
        try methods.validate()
        self.init(stream, context: RPCContext(methods: methods, options: options))
        start()
    }

    /// Begins to read.
    func start() {
        stream.whenClosed { [self] in connectionEnded() }
        stream.consume(
            onBytes: { [self] bytes in try receive(bytes) },
            onEnd: { [self] reason in inputEnded(reason) })
    }

    // MARK: State

    /// The limits of the connection.
    public var options: RPCOptions { context.options }

    /// Whether the connection is closed, or about to be, so that nothing can be sent any more.
    public var isClosed: Bool {
        switch phase {
        case .open, .draining, .inputEnded: false
        case .closing, .closed: true
        }
    }

    /// Our calls that wait for their answers.
    public var callsInFlight: Int { calls.count }

    /// The peer's requests to asynchronous methods that have not been answered.
    public var requestsInProgress: Int { intake.inProgress }

    /// Calls `callback` once, in a later turn, when the connection is closed, whoever closed it.
    public func onClose(_ callback: @escaping (RPCPeer) -> Void) {
        loop.checkThread("RPCPeer.onClose")
        if case .closed = phase {
            loop.runSoon { [self] in callback(self) }
        } else {
            closeCallbacks.append(callback)
        }
    }

    /// Waits until the connection is closed, whoever closed it.
    ///
    /// - Throws: `CancellationError`; `TimeoutError`.
    public nonisolated(nonsending) func closed() async throws {
        loop.checkThread("RPCPeer.closed")
        if case .closed = phase { return }
        let waiter = Waiter(loop: loop)
        endWaiters.append(waiter)
        defer { endWaiters.removeAll { $0 === waiter } }
        try await waiter.wait(for: .closing)
    }

    /// For a server's task of this connection: waits until the connection is closed and the tasks
    /// of its requests have ended.
    nonisolated(nonsending) func run() async throws {
        do {
            try await closed()
        } catch {
            abort()
            await requestsEnded()
            throw error
        }
        await requestsEnded()
    }

    private nonisolated(nonsending) func requestsEnded() async {
        while !tasks.isEmpty { await allTasksEnded.waitUncancellably() }
    }

    // MARK: Receiving

    /// Handles the complete messages; returns how many bytes they have.
    private func receive(_ bytes: UnsafeRawBufferPointer) throws -> Int {
        dispatchDepth += 1
        defer { dispatchDepth -= 1 }
        var used = 0
        defer { limitMessage(isCut: used < bytes.count && !intake.isPaused, isNew: used > 0) }
        while used < bytes.count, !intake.isPaused {
            if isClosed { return bytes.count }
            let rest = UnsafeRawBufferPointer(rebasing: bytes[used...])
            guard case .complete(let length) = try scanner.scan(rest) else { break }
            scanner.reset()
            used += length
            try handle(RPCMessage(UnsafeRawBufferPointer(rebasing: rest[..<length])))
        }
        return used
    }

    /// Half a message and then silence must not hold its bytes for ever.
    private func limitMessage(isCut: Bool, isNew: Bool) {
        if !isCut || isNew, let timer = messageTimer.take() { loop.removeTimeout(timer) }
        guard isCut, messageTimer == nil, !isClosed else { return }
        messageTimer = loop.runLater(options.messageTimeout) { [weak self] in
            guard let self else { return }
            messageTimer = nil
            messageTimedOut()
        }
    }

    func stopMessageTimer() {
        limitMessage(isCut: false, isNew: false)
    }

    private func handle(_ message: RPCMessage) throws {
        if case .noArray(let text) = message { return try handleStray(text) }
        strayFrames = 0
        switch message {
        case .request(let id, let method, let count, let arguments):
            handleRequest(id, method, count, arguments)
        case .response(let id, let payload):
            handleResponse(id, payload)
        case .notification(let method, let count, let arguments):
            handleNotification(method, count, arguments)
        case .strayResponse:
            context.log.debug("\(self): a response without an id of ours was dropped")
        case .invalidNotification(let text), .noArray(let text):
            context.log.debug("\(self): \(text)")
        case .invalid(let id, let text):
            answerError(id, text)
        }
    }

    /// Every byte of a text is a MessagePack value, so a peer that speaks something else altogether
    /// shows itself by one such frame after the other.
    private func handleStray(_ text: String) throws {
        strayFrames += 1
        if strayFrames > RPCPeer.strayFramesMax {
            throw RPCError("too many values in a row that are no messages: \(text)")
        }
        answerError(0, text)
    }

    private func handleResponse(_ id: UInt32, _ payload: UnsafeRawBufferPointer) {
        guard let call = calls.take(id) else {
            context.log.debug("\(self): a response to no call that waits, id \(id), was dropped")
            return
        }
        call.answer(payload)
    }
}

extension RPCPeer: CustomStringConvertible {
    /// The id and the address, for log lines.
    public var description: String {
        "peer \(id)" + (address.map { " at \($0)" } ?? "")
    }
}
