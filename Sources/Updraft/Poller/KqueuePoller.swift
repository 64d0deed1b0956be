// Unsafe: keeps a pointer to the system's table of kqueue calls, which lives as long as the
// process, and a buffer of its own from `init` to `deinit`, on the loop's thread.

package import CUpdraft

/// The poller of Darwin and the BSDs, on `kqueue(2)` (contract row H4).
///
/// The kernel watches each direction of a descriptor by itself; the poller puts together what it
/// says of one descriptor. A descriptor that is watched for neither direction is not watched at
/// all, not even for failures.
public final class KqueuePoller: Poller {
    /// `kqueue`.
    public let name = "kqueue"
    /// The kernel keeps edges apart by itself (`EV_CLEAR`).
    public let needsRearm = false
    private let calls: UnsafePointer<cu_kqueue_calls>
    private let descriptor: Int32
    private var records: ContiguousArray<Record> = []
    private let found: UnsafeMutableBufferPointer<cu_kqueue_event>

    private struct Record {
        var isWatched = false
        var mode = PollMode.level
        var events: IOEvents = []
        /// Where the descriptor's event stands in the batch that is put together, if its token
        /// stands there too.
        var position = 0

        func watches(_ filter: Int32) -> Bool {
            events.contains(filter == KqueuePoller.readFilter ? .read : .write)
        }
    }

    /// Makes an empty poller, closed on `exec` (contract row A15).
    ///
    /// - Throws: `SystemError` for want of descriptors, and where the system has no kqueue.
    public convenience init() throws {
        guard let calls = cu_kqueue_system() else {
            throw SystemError(errno: cu_enosys, operation: "kqueue")
        }
        try self.init(calls: calls)
    }

    /// On a table of calls that stays where it is: the system's, or in tests a stand-in of it.
    package init(calls: UnsafePointer<cu_kqueue_calls>) throws {
        self.calls = calls
        descriptor = try SystemError.check(calls.pointee.create(), "kqueue")
        found = .allocate(capacity: 512)
    }

    deinit {
        found.deallocate()
    }

    /// Adds a filter for each direction.
    ///
    /// - Throws: `SystemError` if the descriptor is watched already, which kqueue itself would not
    ///   mind (contract row C8), or can't be watched.
    public func add(
        _ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64
    ) throws {
        let operation = "watch descriptor \(descriptor)"
        if isWatched(descriptor) { throw SystemError(errno: cu_eexist, operation: operation) }
        // A descriptor without a filter is never shown to the kernel; and kqueue takes plain files.
        try SystemError.check(cu_descriptor_check(descriptor), operation)
        while records.count <= Int(descriptor) { records.append(Record()) }
        let record = Record(isWatched: true, mode: mode, events: events)
        try addFilters(record, descriptor, token, operation)
        records[Int(descriptor)] = record
    }

    /// Removes the filters that are no longer wanted and adds the others.
    ///
    /// - Throws: `SystemError` if the descriptor is not watched, or the kernel refuses; it is
    ///   watched for nothing then, until the next `modify`.
    public func modify(
        _ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64
    ) throws {
        let operation = "change what descriptor \(descriptor) is watched for"
        guard isWatched(descriptor) else {
            throw SystemError(errno: cu_enoent, operation: operation)
        }
        // Adding a filter that is there would keep its mode: the kernel takes EV_CLEAR from the
        // first time only.
        try removeFilters(descriptor, operation)
        records[Int(descriptor)].events = []
        let record = Record(isWatched: true, mode: mode, events: events)
        try addFilters(record, descriptor, token, operation)
        records[Int(descriptor)] = record
    }

    /// Removes the filters; the descriptor is forgotten even if that fails because it was closed.
    public func remove(_ descriptor: Int32) throws {
        let operation = "unwatch descriptor \(descriptor)"
        guard isWatched(descriptor) else {
            throw SystemError(errno: cu_enoent, operation: operation)
        }
        defer { records[Int(descriptor)] = Record() }
        try removeFilters(descriptor, operation)
    }

    /// Does nothing.
    public func rearm(_ descriptor: Int32, events: IOEvents) {}

    /// Waits in `kevent`, whose resolution is a nanosecond.
    public func wait(
        timeoutNanoseconds: Int64, into events: UnsafeMutableBufferPointer<PollEvent>
    ) throws -> Int {
        let capacity = Int32(min(events.count, found.count))
        let result = calls.pointee.wait(
            descriptor, found.baseAddress, capacity, timeoutNanoseconds)
        // A signal ends the wait early; the loop goes round and looks again (contract row B6).
        if result == -cu_eintr { return 0 }
        var count = 0
        for event in found[..<Int(try SystemError.check(result, "kevent"))] {
            // Filters go with their registration; what is not watched can't be in the batch.
            guard isWatched(event.fd) else { continue }
            let slot = Int(event.fd)
            let ready = meaning(of: event, wanted: records[slot].events)
            let position = records[slot].position
            if position < count, events[position].token == event.token {
                events[position].events.formUnion(ready)
            } else {
                events[count] = PollEvent(token: event.token, events: ready)
                records[slot].position = count
                count += 1
            }
        }
        return count
    }

    /// Closes the kqueue.
    public func close() {
        _ = calls.pointee.close(descriptor)
    }

    // MARK: Steps

    private static let readFilter = Int32(CU_KQUEUE_READ)
    private static let filters = [readFilter, Int32(CU_KQUEUE_WRITE)]

    private func isWatched(_ descriptor: Int32) -> Bool {
        descriptor >= 0 && Int(descriptor) < records.count && records[Int(descriptor)].isWatched
    }

    /// All of them or none.
    private func addFilters(
        _ record: Record, _ descriptor: Int32, _ token: UInt64, _ operation: String
    ) throws(SystemError) {
        for filter in Self.filters where record.watches(filter) {
            let result = calls.pointee.add(
                self.descriptor, descriptor, filter, record.mode == .edge, token)
            guard result < 0 else { continue }
            for added in Self.filters where added < filter && record.watches(added) {
                _ = calls.pointee.remove(self.descriptor, descriptor, added)
            }
            throw SystemError(errno: result, operation: operation)
        }
    }

    /// Tries all of them, and throws the first failure.
    private func removeFilters(_ descriptor: Int32, _ operation: String) throws(SystemError) {
        var failure: Int32 = 0
        let record = records[Int(descriptor)]
        for filter in Self.filters where record.watches(filter) {
            let result = calls.pointee.remove(self.descriptor, descriptor, filter)
            if failure == 0 { failure = result }
        }
        try SystemError.check(failure, operation)
    }

    /// The end of a stream shows as readable, as it does elsewhere. The end of the other direction
    /// is a failure: of a connection that was refused it is the only sign. Of urgent data not all
    /// of these systems tell, so that there may always be some.
    private func meaning(of event: cu_kqueue_event, wanted: IOEvents) -> IOEvents {
        let isEnd = event.flags & UInt16(CU_KQUEUE_EOF) != 0
        var ready: IOEvents = []
        if Int32(event.filter) == Self.readFilter {
            ready = isEnd ? [.read, .readHangup] : [.read, .shortReads]
        } else {
            ready = isEnd ? [.write, .error] : .write
        }
        if event.flags & UInt16(CU_KQUEUE_ERROR) != 0 { ready.formUnion(.error) }
        return ready.intersection(wanted.union(.error))
    }
}
