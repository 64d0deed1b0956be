// Unsafe: owns the C part's set of descriptors and a buffer of its own, from `init` to `deinit`, on
// the loop's thread.

internal import CUpdraft

/// The poller of every POSIX system, on `select(2)` (contract row H5).
///
/// It looks at every watched descriptor in each wait, and takes descriptors below 1,024 only: for
/// tests and small programs. It tells less than the others do: an end of the stream and a failure
/// show as `read` and `write`, and the next call on the descriptor meets them. `error` it reports
/// only for a descriptor that was closed while it was watched.
public final class SelectPoller: Poller {
    /// `select`.
    public let name = "select"
    /// `select` knows no edges: a direction that was reported is left out until it is rearmed.
    public let needsRearm = true
    private let set: OpaquePointer
    private var records: ContiguousArray<Record> = []
    private let found: UnsafeMutableBufferPointer<cu_select_event>

    private struct Record {
        var isWatched = false
        var mode = PollMode.level
        var events: IOEvents = []
        var token: UInt64 = 0
    }

    /// Makes an empty poller; it has no descriptor of its own.
    ///
    /// - Throws: `SystemError` for want of memory.
    public init() throws {
        guard let set = cu_select_create() else {
            throw SystemError(errno: cu_enomem, operation: "make a select set")
        }
        self.set = set
        found = .allocate(capacity: 512)
    }

    deinit {
        cu_select_destroy(set)
        found.deallocate()
    }

    /// Starts to watch a descriptor.
    ///
    /// - Throws: `SystemError` if its number is 1,024 (`FD_SETSIZE`) or above, which `select`
    ///   can't take; if it is watched already, or not open.
    public func add(
        _ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64
    ) throws {
        try checkRange(descriptor)
        if isWatched(descriptor) {
            throw SystemError(errno: cu_eexist, operation: "watch descriptor \(descriptor)")
        }
        try SystemError.check(cu_descriptor_check(descriptor), "watch descriptor \(descriptor)")
        while records.count <= Int(descriptor) { records.append(Record()) }
        watch(descriptor, events, mode, token)
    }

    /// Replaces what a descriptor is watched for.
    ///
    /// - Throws: `SystemError` if it is not watched, or no longer open.
    public func modify(
        _ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64
    ) throws {
        let operation = "change what descriptor \(descriptor) is watched for"
        guard isWatched(descriptor) else {
            throw SystemError(errno: cu_enoent, operation: operation)
        }
        try SystemError.check(cu_descriptor_check(descriptor), operation)
        cu_select_disarm(set, descriptor, Self.bothDirections)
        watch(descriptor, events, mode, token)
    }

    /// Stops watching; the descriptor may be closed by now.
    ///
    /// - Throws: `SystemError` if it was not watched.
    public func remove(_ descriptor: Int32) throws {
        guard isWatched(descriptor) else {
            throw SystemError(errno: cu_enoent, operation: "unwatch descriptor \(descriptor)")
        }
        records[Int(descriptor)] = Record()
        cu_select_disarm(set, descriptor, Self.bothDirections)
    }

    /// Waits for these directions again, if they are among those watched for.
    public func rearm(_ descriptor: Int32, events: IOEvents) {
        guard isWatched(descriptor) else { return }
        let wanted = records[Int(descriptor)].events.intersection(events)
        cu_select_arm(set, descriptor, directions(wanted))
    }

    /// Waits in `select`, whose resolution is a microsecond.
    ///
    /// A descriptor that was closed while it was watched is reported with `error`, once, and not
    /// waited for any more.
    public func wait(
        timeoutNanoseconds: Int64, into events: UnsafeMutableBufferPointer<PollEvent>
    ) throws -> Int {
        let capacity = Int32(min(events.count, found.count))
        let result = cu_select_wait(set, found.baseAddress, capacity, timeoutNanoseconds)
        // A signal ends the wait early; the loop goes round and looks again (contract row B6).
        if result == -cu_eintr { return 0 }
        let count = Int(try SystemError.check(result, "select"))
        for index in 0..<count {
            let descriptor = found[index].fd
            let record = records[Int(descriptor)]
            let ready = meaning(of: found[index].directions)
            if ready == .error {
                cu_select_disarm(set, descriptor, Self.bothDirections)
            } else if record.mode == .edge {
                cu_select_disarm(set, descriptor, found[index].directions)
            }
            events[index] = PollEvent(token: record.token, events: ready)
        }
        return count
    }

    /// Does nothing: there is no descriptor to close.
    public func close() {}

    // MARK: Steps

    private static let bothDirections = UInt32(CU_SELECT_READ | CU_SELECT_WRITE)

    private func checkRange(_ descriptor: Int32) throws(SystemError) {
        guard descriptor >= 0 else {
            throw SystemError(errno: cu_ebadf, operation: "watch descriptor \(descriptor)")
        }
        guard descriptor < cu_select_limit else {
            throw SystemError(
                errno: cu_einval,
                operation: "watch descriptor \(descriptor) with select, which takes descriptors "
                    + "below \(cu_select_limit) only")
        }
    }

    private func isWatched(_ descriptor: Int32) -> Bool {
        descriptor >= 0 && Int(descriptor) < records.count && records[Int(descriptor)].isWatched
    }

    private func watch(
        _ descriptor: Int32, _ events: IOEvents, _ mode: PollMode, _ token: UInt64
    ) {
        records[Int(descriptor)] = Record(
            isWatched: true, mode: mode, events: events, token: token)
        cu_select_arm(set, descriptor, directions(events))
    }

    private func directions(_ events: IOEvents) -> UInt32 {
        (events.contains(.read) ? UInt32(CU_SELECT_READ) : 0)
            | (events.contains(.write) ? UInt32(CU_SELECT_WRITE) : 0)
    }

    private func meaning(of directions: UInt32) -> IOEvents {
        if directions & UInt32(CU_SELECT_CLOSED) != 0 { return .error }
        var events: IOEvents = []
        if directions & UInt32(CU_SELECT_READ) != 0 { events.insert(.read) }
        if directions & UInt32(CU_SELECT_WRITE) != 0 { events.insert(.write) }
        return events
    }
}
