/// What the loop calls when a descriptor is ready.
protocol ReadinessSink: AnyObject {
    func ready(_ events: IOEvents)

    /// The loop is being closed: frees what the sink owns, such as a descriptor.
    func loopIsClosing()

    /// Closes a descriptor that a user's handler watches. What the library watches, such as the
    /// waker, has an owner that closes it: to close it twice would hit the number's next user.
    func closeWatched(_ descriptor: Int32)

    /// Bytes in memory that were received and not read, or written and not sent.
    var heldBytes: Int { get }

    /// What it is and what it waits for, for `IOLoop.dump`.
    var report: SinkReport { get }
}

extension ReadinessSink {
    func loopIsClosing() {}
    func closeWatched(_ descriptor: Int32) {}
    var heldBytes: Int { 0 }
}

/// One line of `IOLoop.dump`.
struct SinkReport {
    let text: String
    /// Who waits on it.
    var waiters: [Waiter] = []
}

/// The watched descriptors of a loop, by number, with a generation that tells registrations of the
/// same number apart: an event that was fetched for a descriptor that has since been closed, and
/// its number given to another, finds no sink.
struct DescriptorTable {
    private struct Slot {
        var sink: (any ReadinessSink)?
        var generation: UInt32 = 0
    }

    private var slots: ContiguousArray<Slot> = []
    private(set) var count = 0

    func contains(_ descriptor: Int32) -> Bool {
        sink(of: descriptor) != nil
    }

    func sink(of descriptor: Int32) -> (any ReadinessSink)? {
        guard descriptor >= 0, descriptor < slots.count else { return nil }
        return slots[Int(descriptor)].sink
    }

    @inline(__always)
    func sink(for token: UInt64) -> (any ReadinessSink)? {
        let index = Int(token & 0xFFFF_FFFF)
        guard index < slots.count, slots[index].generation == UInt32(token >> 32) else {
            return nil
        }
        return slots[index].sink
    }

    /// The token for events of the registration.
    mutating func insert(_ sink: any ReadinessSink, for descriptor: Int32) -> UInt64 {
        let index = Int(descriptor)
        while slots.count <= index { slots.append(Slot()) }
        slots[index].sink = sink
        count += 1
        return token(of: descriptor)
    }

    func token(of descriptor: Int32) -> UInt64 {
        UInt64(slots[Int(descriptor)].generation) << 32 | UInt64(UInt32(descriptor))
    }

    /// Takes a sink out.
    ///
    /// - Returns: The sink, for the caller to let go of when the table is at rest again: an object
    ///   that goes away with it may change the table.
    @discardableResult
    mutating func remove(_ descriptor: Int32) -> (any ReadinessSink)? {
        guard contains(descriptor) else { return nil }
        let sink = slots[Int(descriptor)].sink.take()
        slots[Int(descriptor)].generation &+= 1
        count -= 1
        return sink
    }

    /// All sinks, so that they can be told of something while the table changes.
    var sinks: [any ReadinessSink] { slots.compactMap(\.sink) }

    /// All sinks with their descriptors, in their order.
    var entries: [(descriptor: Int32, sink: any ReadinessSink)] {
        slots.enumerated().compactMap { index, slot in slot.sink.map { (Int32(index), $0) } }
    }

    /// Takes every sink out, and returns them as `remove` does.
    @discardableResult
    mutating func removeAll() -> [any ReadinessSink] {
        let sinks = sinks
        slots = []
        count = 0
        return sinks
    }

    /// Closes every descriptor that has a handler, and takes the sinks out as `removeAll` does.
    @discardableResult
    mutating func closeAll() -> [any ReadinessSink] {
        // What an object does to close itself must not meet the table half empty.
        let watched = entries
        let sinks = removeAll()
        for (descriptor, sink) in watched { sink.closeWatched(descriptor) }
        return sinks
    }

    /// Bytes that the sinks hold.
    var heldBytes: Int { slots.reduce(0) { $0 + ($1.sink?.heldBytes ?? 0) } }
}
