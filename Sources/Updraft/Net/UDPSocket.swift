internal import CUpdraft

/// A UDP socket on a loop.
///
/// ```swift
/// let socket = try UDPSocket(port: 5300)
/// defer { socket.close() }
/// for try await datagram in socket.datagrams {
///     try await socket.send(datagram.bytes, to: datagram.sender)
/// }
/// ```
///
/// One task receives at a time; any number may send. The loop keeps the socket until it is closed.
/// Datagrams may be lost, doubled or come out of order: that is UDP. What a sender is told of is
/// what this machine knows.
public final class UDPSocket {
    /// Bounds and switches of a socket.
    public struct Options: Sendable {
        /// Bytes of the longest datagram that is expected; what is longer is cut and marked. At
        /// most 65,536. Up to 32 datagrams are received with one system call, as many as have
        /// room in 64 KiB: smaller is faster.
        public var receiveMax = 65_536
        /// Bytes of unsent datagrams from which on `send` waits and `enqueue` refuses. 256 KiB.
        public var sendQueueMax = 262_144
        /// Bytes that the kernel holds for this socket before it drops what comes; nil for the
        /// system's default.
        public var kernelReceiveBuffer: Int?
        /// Lets several sockets (of several loops or processes) share the port; the kernel spreads
        /// the senders among them.
        public var reusePort = false
        /// Allows sending to broadcast addresses.
        public var broadcast = false

        /// The defaults.
        public init() {}
    }

    /// The loop that the socket lives on.
    public let loop: IOLoop

    /// Where the socket is bound.
    public let localAddress: SocketAddress

    /// The port it is bound to.
    public var port: Int { localAddress.port ?? 0 }

    let options: Options
    let descriptor: Int32
    var isOpen = true
    var peer: SocketAddress?
    var readiness: IOEvents = [.read, .write]
    var received = RingBuffer<Datagram>(capacity: 1)
    let receiveWaiter: Waiter
    /// Whether the next turn wakes a receiver that has had its share of this one.
    var isReceivingSoon = false
    var unsent = RingBuffer<OutgoingDatagram>(capacity: 1)
    var unsentBytes = 0
    var sendWaiters: [Waiter] = []
    /// Each direction has its share of a turn: who sends all the time must not keep the others from
    /// receiving.
    var receiveShare = DatagramShare()
    var sendShare = DatagramShare()

    /// What the system needs to remember one more unsent datagram, beside its bytes.
    static let unsentOverhead = 64

    /// Binds a socket and starts to watch it.
    ///
    /// - Parameters:
    ///   - host: A numeric address: this machine alone by default; `0.0.0.0` or `::` for all
    ///     interfaces.
    ///   - port: 0 picks a free one.
    /// - Throws: `StreamError` with `.cannotListen`.
    public init(
        host: String = "127.0.0.1", port: Int = 0, options: Options = Options()
    ) throws {
        loop = IOLoop.current
        precondition(
            1...BufferPool.readChunk ~= options.receiveMax && options.sendQueueMax > 0,
            "receiveMax is 1 to 65,536 bytes, sendQueueMax more than 0")
        self.options = options
        receiveWaiter = Waiter(loop: loop)
        do {
            (descriptor, localAddress) = try UDPSocket.open(host, port, options)
        } catch let error as SystemError {
            let reason =
                error.isAddressInUse
                ? "UDP port \(port) on \(host) is taken already"
                : "Can't receive on \(ListenAddress.tcp(host: host, port: port))"
            throw StreamError(.cannotListen, "\(reason).", cause: error)
        }
        do {
            try loop.watch(descriptor, events: [.read, .write, .error], mode: .edge, sink: self)
        } catch {
            isOpen = false
            _ = cu_close(descriptor)
            throw error
        }
    }

    deinit {
        if isOpen { _ = cu_close(descriptor) }
    }

    private static func open(
        _ host: String, _ port: Int, _ options: Options
    ) throws -> (Int32, SocketAddress) {
        guard var system = try SocketAddress(host: host, port: port).system else {
            throw SystemError(errno: cu_einval, operation: "the address \(host)")
        }
        let descriptor = try SystemError.check(
            cu_socket_datagram(&system, options.reusePort), "bind")
        do {
            if options.broadcast {
                try SystemError.check(cu_set_broadcast(descriptor, true), "SO_BROADCAST")
            }
            if let bytes = options.kernelReceiveBuffer {
                let size = Int32(clamping: bytes)
                try SystemError.check(cu_set_receive_buffer(descriptor, size), "SO_RCVBUF")
            }
            var local = cu_address()
            try SystemError.check(cu_local_address(descriptor, &local), "getsockname")
            return (descriptor, SocketAddress(local))
        } catch {
            _ = cu_close(descriptor)
            throw error
        }
    }

    /// Fixes the peer: only its datagrams are received from now on, also of those that have come
    /// already; `send` needs no address; and the peer's machine may tell that nobody listens there
    /// (ECONNREFUSED).
    ///
    /// - Throws: `SystemError`; `StreamError` with `.closed`.
    public func connect(to address: SocketAddress) throws {
        try checkOpen()
        guard var system = address.system, address.port != nil else {
            throw SystemError(errno: cu_einval, operation: "the address \(address)")
        }
        try SystemError.check(cu_connect(descriptor, &system), "connect to \(address)")
        // The kernel may have another name for it: to connect to 0.0.0.0 is to connect to itself.
        var canonical = cu_address()
        try SystemError.check(cu_peer_address(descriptor, &canonical), "getpeername")
        let peer = SocketAddress(canonical)
        self.peer = peer
        // A socket that has never been connected hears everybody, and keeps what it heard.
        var others = RingBuffer<Datagram>(capacity: 1)
        swap(&others, &received)
        while let datagram = others.popFirst() {
            if datagram.sender == peer { received.append(datagram) }
        }
    }

    /// Closes the socket at once: what is unsent is dropped, and what waits fails. Calling it again
    /// does nothing.
    public func close() {
        loop.checkThread("UDPSocket.close")
        guard isOpen else { return }
        isOpen = false
        loop.unwatch(descriptor)
        _ = cu_close(descriptor)
        received = RingBuffer(capacity: 1)
        unsent = RingBuffer(capacity: 1)
        unsentBytes = 0
        let senders = sendWaiters
        for sender in senders { sender.fire(closed) }
        receiveWaiter.fire(closed)
    }

    /// Whether the socket was closed.
    public var isClosed: Bool { !isOpen }

    var closed: StreamError {
        StreamError(.closed, "The UDP socket was closed by this side.")
    }

    func checkOpen() throws {
        loop.checkThread("UDPSocket")
        if !isOpen { throw closed }
    }

    func drained(_ direction: IOEvents) {
        readiness.subtract(direction)
        if loop.poller.needsRearm { loop.poller.rearm(descriptor, events: direction) }
    }
}

/// What one direction of a socket has done in a turn of its loop.
struct DatagramShare {
    private var turn: UInt64 = 0
    private var bytes = 0

    func isUsedUp(on loop: IOLoop) -> Bool {
        turn == loop.turnNumber && bytes >= loop.limits.streamBytesMax
    }

    mutating func spend(_ count: Int, on loop: IOLoop) {
        if turn != loop.turnNumber {
            turn = loop.turnNumber
            bytes = 0
        }
        // A datagram costs its system call, however short it is.
        bytes += count + 1_024
    }
}

extension UDPSocket: ReadinessSink {
    func ready(_ events: IOEvents) {
        if events.meets([.read, .error]) { readiness.insert(.read) }
        if events.meets([.write, .error]) {
            readiness.insert(.write)
            sendQueued()
        }
        if readiness.contains(.read), receiveWaiter.isWaiting {
            loop.resumingInline { receiveWaiter.fire() }
        }
    }

    func loopIsClosing() {
        close()
    }

    var heldBytes: Int { unsentBytes }

    var report: SinkReport {
        var text = "UDP socket on \(localAddress)"
        if let peer { text += ", connected to \(peer)" }
        if unsentBytes > 0 { text += ", \(unsent.count) datagrams unsent" }
        return SinkReport(text: text, waiters: [receiveWaiter] + sendWaiters)
    }
}
