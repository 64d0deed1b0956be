internal import CUpdraft

/// A transport that may lack a direction.
protocol OneWayTransport: Transport {
    /// Whether there has never been anything to read.
    var isWriteOnly: Bool { get }
}

/// One or two ends of pipes (or other one-way descriptors) as one transport: contract row J20.
///
/// A descriptor is freed as soon as its direction has ended. When nothing is left the stream above
/// is told, so that one that is only read, or only written, closes itself.
final class PipeTransport: DetachableTransport, OneWayTransport {
    /// Always nil: each end watches its own.
    var descriptor: Int32? { nil }
    var onReady: ((IOEvents) -> Void)?
    /// Called once, in a later turn, when no direction is left and the stream has not been closed.
    var onEnd: ((StreamError) -> Void)?

    private unowned let loop: IOLoop
    private var readEnd: PipeEnd?
    private var writeEnd: PipeEnd?
    let isWriteOnly: Bool
    let readsMayStopShort: Bool
    /// Whether nobody reads any more what is written.
    private var isBroken = false

    /// Takes over the descriptors, if they can be watched; they are made non-blocking.
    init(reading: Int32?, writing: Int32?, loop: IOLoop) throws {
        self.loop = loop
        isWriteOnly = reading == nil
        readsMayStopShort = reading.map { !cu_is_plain_pipe($0) } ?? false
        do {
            readEnd = try reading.map { try PipeEnd($0, .read, loop) }
            writeEnd = try writing.map { try PipeEnd($0, .write, loop) }
        } catch {
            // The descriptors stay the caller's.
            readEnd?.unwatch()
            throw error
        }
        readEnd?.onReady = { [unowned self] in onReady?($0) }
        writeEnd?.onReady = { [unowned self] in noteWritable($0) }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> TransportRead {
        if isWriteOnly {
            throw SystemError(errno: cu_ebadf, operation: "read from a pipe that is only written")
        }
        guard let readEnd else { return .endOfStream }
        let count = cu_read(readEnd.descriptor, buffer.baseAddress, buffer.count)
        if count == 0 {
            readEnd.close()
            self.readEnd = nil
            endIfNothingIsLeft(.endOfStream, "The pipe has ended.")
            return .endOfStream
        }
        if count < buffer.count { readEnd.drained() }
        if count > 0 { return .bytes(count) }
        if Int32(count) == -cu_eagain { return .wouldBlock }
        throw SystemError(errno: Int32(count), operation: "read from a pipe")
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws -> Int {
        guard let writeEnd else {
            throw SystemError(errno: cu_ebadf, operation: "write to a pipe that is only read")
        }
        let count = cu_write(writeEnd.descriptor, bytes.baseAddress, bytes.count)
        if count < bytes.count { writeEnd.drained() }
        if count >= 0 { return count }
        if Int32(count) == -cu_eagain { return 0 }
        throw SystemError(errno: Int32(count), operation: "write to a pipe")
    }

    /// Closes the end that is written: there is no other way to end a pipe.
    func shutdownWrite() {
        writeEnd?.close()
        writeEnd = nil
        endIfNothingIsLeft(.closed, "The pipe was closed by this side.")
    }

    func takePendingError() -> SystemError? {
        guard isBroken, isWriteOnly, writeEnd != nil else { return nil }
        return SystemError(errno: cu_epipe, operation: "write to a pipe")
    }

    func close() {
        onEnd = nil
        readEnd?.close()
        writeEnd?.close()
        readEnd = nil
        writeEnd = nil
    }

    func detach() -> Int32? {
        guard let end = readEnd ?? writeEnd, readEnd == nil || writeEnd == nil else { return nil }
        end.unwatch()
        onEnd = nil
        readEnd = nil
        writeEnd = nil
        return end.descriptor
    }

    /// What the kernel has been given, the reader gets: a pipe has no reset.
    func abort() {
        close()
    }

    /// That nobody reads is a failure by itself only where nothing is read here either. Otherwise,
    /// as with a socket whose peer has closed, what was read stays, and the next write fails.
    private func noteWritable(_ events: IOEvents) {
        var events = events
        if events.meets(.error) {
            isBroken = true
            // A full pipe has no room, but whoever waits for some has to find out.
            events.insert(.write)
        }
        onReady?(events.intersection(isWriteOnly ? [.write, .error] : .write))
    }

    private func endIfNothingIsLeft(_ code: StreamError.Code, _ message: String) {
        guard readEnd == nil, writeEnd == nil else { return }
        loop.runSoon { [weak self] in self?.onEnd?(StreamError(code, message)) }
    }
}

/// One direction's descriptor, watched by the loop.
private final class PipeEnd: ReadinessSink {
    let descriptor: Int32
    var onReady: (IOEvents) -> Void = { _ in }
    private let direction: IOEvents
    private unowned let loop: IOLoop

    init(_ descriptor: Int32, _ direction: IOEvents, _ loop: IOLoop) throws {
        self.descriptor = descriptor
        self.direction = direction
        self.loop = loop
        try SystemError.check(
            cu_set_nonblocking(descriptor), "make descriptor \(descriptor) non-blocking")
        var events: IOEvents = direction == .read ? [.read, .readHangup] : direction
        // select(2), between a report of room and `rearm`, tells of a pipe without readers as
        // being readable.
        if loop.poller.needsRearm { events.insert(.read) }
        try loop.watch(descriptor, events: events.union(.error), mode: .edge, sink: self)
    }

    var report: SinkReport {
        SinkReport(text: direction == .read ? "a pipe, read" : "a pipe, written")
    }

    func ready(_ events: IOEvents) {
        onReady(events)
    }

    func drained() {
        if loop.poller.needsRearm { loop.poller.rearm(descriptor, events: direction) }
    }

    func unwatch() {
        loop.unwatch(descriptor)
    }

    func close() {
        unwatch()
        _ = cu_close(descriptor)
    }
}
