internal import CUpdraft

/// One of the process's standard descriptors.
enum StandardStream: Int32 {
    case input = 0
    case output = 1
    case error = 2

    var name: String {
        switch self {
        case .input: "standard input"
        case .output: "standard output"
        case .error: "standard error"
        }
    }
}

/// Standard input, output or error as a transport of one direction, over a descriptor of its own:
/// neither the number nor the marks of the open file, which others share, are touched.
final class StandardTransport: OneWayTransport {
    /// Bytes that go to a file in one turn at the most: the disk may be slow.
    private static let filePieceMax = 65_536
    /// Bytes that a pipe takes at once when it has room at all (PIPE_BUF of Linux).
    private static let pipePieceMax = 4_096
    /// Bytes that a terminal of Linux takes at once when it has room at all, unless it turns them
    /// into more of them: its memory grows in pieces of so many.
    private static let terminalPieceMax = 256

    /// Always nil: it watches by itself.
    var descriptor: Int32? { nil }
    var onReady: ((IOEvents) -> Void)?
    /// Called once, in a later turn, at the end of the input, or of an output that was ended.
    var onEnd: ((StreamError) -> Void)?

    private unowned let loop: IOLoop
    private let standard: StandardStream
    private var kind: cu_standard_kind
    /// Nil when it has been freed.
    private var own: Int32?
    private var isBroken = false
    private var fileTurn: UInt64 = 0
    private var fileBytes = 0
    private var isPaused = false

    /// Takes the standard descriptor for itself.
    init(_ standard: StandardStream, loop: IOLoop) throws {
        self.loop = loop
        self.standard = standard
        var kind = CU_STANDARD_FILE
        let result = cu_standard_open(standard.rawValue, standard != .input, &kind)
        if result == -cu_ebusy {
            throw StreamError(
                .alreadyTaken, "A stream of this process has \(standard.name) already.")
        }
        try SystemError.check(result, "open \(standard.name)")
        own = result
        self.kind = kind
        do {
            try watch(result)
        } catch {
            free()
            throw error
        }
    }

    private var isOutput: Bool { standard != .input }
    var isWriteOnly: Bool { isOutput }
    private var direction: IOEvents { isOutput ? .write : .read }
    private var isShared: Bool { kind == CU_STANDARD_SHARED_PIPE || kind == CU_STANDARD_SHARED }
    private var sharedPieceMax: Int {
        kind == CU_STANDARD_SHARED_PIPE ? Self.pipePieceMax : Self.terminalPieceMax
    }

    private func watch(_ descriptor: Int32) throws {
        if kind == CU_STANDARD_FILE { return }
        var events: IOEvents = isOutput ? .write : [.read, .readHangup]
        // select(2) tells of a pipe without readers as being readable: see PipeTransport.
        if loop.poller.needsRearm { events.insert(.read) }
        do {
            try loop.watch(descriptor, events: events.union(.error), mode: .edge, sink: self)
        } catch let error as SystemError where error.errno == cu_eperm {
            // A device that is always ready, such as /dev/null.
            kind = CU_STANDARD_FILE
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> TransportRead {
        if isOutput {
            throw SystemError(errno: cu_ebadf, operation: "read from \(standard.name)")
        }
        guard let own else { return .endOfStream }
        let count = receive(own, buffer)
        // A terminal whose other side is gone says EIO.
        let isHungUp = kind != CU_STANDARD_FILE && Int32(clamping: count) == -cu_eio
        if count == 0 || isHungUp {
            free()
            endSoon(.endOfStream, "Standard input has ended.")
            return .endOfStream
        }
        if count > 0 { return .bytes(count) }
        guard Int32(clamping: count) == -cu_eagain else {
            throw SystemError(errno: Int32(clamping: count), operation: "read standard input")
        }
        drained()
        return .wouldBlock
    }

    private func receive(_ own: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
        if kind == CU_STANDARD_SOCKET {
            return cu_standard_recv(own, buffer.baseAddress, buffer.count)
        }
        if isShared, cu_standard_ready(own, false) == 0 { return Int(-cu_eagain) }
        return cu_read(own, buffer.baseAddress, buffer.count)
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws -> Int {
        guard let own, isOutput else {
            throw SystemError(errno: cu_ebadf, operation: "write to \(standard.name)")
        }
        var total = 0
        while total < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[total...])
            let count = send(own, rest)
            if Int32(clamping: count) == -cu_eagain || count == 0 {
                drained()
                break
            }
            if count < 0 {
                throw SystemError(
                    errno: Int32(clamping: count), operation: "write to \(standard.name)")
            }
            total += count
        }
        return total
    }

    /// Bytes written, 0 or a negated EAGAIN if there is no room now.
    private func send(_ own: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        switch kind {
        case CU_STANDARD_SOCKET:
            return cu_standard_send(own, bytes.baseAddress, bytes.count)
        case CU_STANDARD_SHARED_PIPE, CU_STANDARD_SHARED:
            if cu_standard_ready(own, true) == 0 { return Int(-cu_eagain) }
            return cu_write(own, bytes.baseAddress, min(bytes.count, sharedPieceMax))
        case CU_STANDARD_FILE:
            let count = cu_write(own, bytes.baseAddress, shareOfTurn(bytes.count))
            if count > 0 { fileBytes += count }
            return count
        default:
            return cu_write(own, bytes.baseAddress, bytes.count)
        }
    }

    /// Lets the number stand for nothing: while the process has it, the other end sees no end.
    /// The input has nothing to end, and may be the same socket as the output.
    func shutdownWrite() {
        guard let own, isOutput else { return }
        if kind == CU_STANDARD_SOCKET {
            _ = cu_shutdown_write(own)
        } else {
            _ = cu_standard_silence(standard.rawValue)
        }
        free()
        endSoon(.closed, "This side has ended \(standard.name).")
    }

    func takePendingError() -> SystemError? {
        guard isBroken, let own else { return nil }
        // A pipe or a terminal tells nothing but that nobody is there.
        let error = kind == CU_STANDARD_SOCKET ? cu_standard_error(own) : 0
        return SystemError(
            errno: error == 0 ? cu_epipe : error, operation: "write to \(standard.name)")
    }

    func close() {
        onEnd = nil
        free()
    }

    /// What the kernel has been given, the reader gets.
    func abort() {
        close()
    }

    // MARK: Steps

    private func free() {
        guard let own else { return }
        self.own = nil
        if kind != CU_STANDARD_FILE { loop.unwatch(own) }
        _ = cu_close(own)
        cu_standard_release(standard.rawValue)
    }

    private func drained() {
        guard let own else { return }
        if kind == CU_STANDARD_FILE {
            pause()
        } else if loop.poller.needsRearm {
            loop.poller.rearm(own, events: direction)
        }
    }

    private func shareOfTurn(_ count: Int) -> Int {
        if fileTurn != loop.turnNumber {
            fileTurn = loop.turnNumber
            fileBytes = 0
        }
        return min(count, Self.filePieceMax - fileBytes)
    }

    private func pause() {
        guard !isPaused else { return }
        isPaused = true
        loop.runSoon { [weak self] in
            guard let self else { return }
            isPaused = false
            onReady?(direction)
        }
    }

    private func endSoon(_ code: StreamError.Code, _ message: String) {
        loop.runSoon { [weak self] in self?.onEnd?(StreamError(code, message)) }
    }
}

extension StandardTransport: ReadinessSink {
    var report: SinkReport { SinkReport(text: standard.name) }

    func ready(_ events: IOEvents) {
        guard isOutput else {
            onReady?(events)
            return
        }
        if events.meets(.error) { isBroken = true }
        onReady?(events.intersection([.write, .error]))
    }
}
