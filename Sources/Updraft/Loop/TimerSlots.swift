// Unsafe: raw memory for the places. A chunk's memory belongs to the `TimerSlots` that allocated
// it, which is not copyable, lives in a loop and is used by that loop's thread only. A place is
// initialised once its number is below its chunk's `begun`.

internal import CUpdraft

/// What a timeout runs, and the task-locals it runs with.
struct TimerAction {
    var callback: () throws -> Void
    var context: CallbackContext?
}

/// What the pending timeouts of a loop run, in places that their handles know.
///
/// A place can't be moved while a handle may point at it, so one timeout that stays would keep
/// the memory of a million that have gone. Hence chunks: an empty one gives its memory back. Who
/// has a place is noted by the timeout's sequence number, which is never used again, so that a
/// handle that is out of date is told from a good one whatever has become of its place.
///
/// Among a million timeouts each place is a miss of all caches, so what is needed of one stands in
/// half a cache line, and nothing else is looked at on the way.
struct TimerSlots: ~Copyable {
    private static let chunkBits: UInt32 = 12
    private static let chunkSize = 1 << chunkBits
    private static let noPlace = UInt32.max

    /// Set in a sequence number: collected as due, not yet run, can still be removed.
    private static let dueBit: UInt64 = 1 << 63
    /// Set where nobody has the place; the rest is the next free place of the chunk, or `noPlace`.
    private static let freeBit: UInt64 = 1 << 62

    /// 16 bytes from its begin, on 64-bit systems, lies the address of the closure's captures,
    /// which is only used to fetch them ahead.
    private struct Slot {
        var owner: UInt64
        var action: TimerAction?
    }

    private struct Chunk {
        /// Nil once it has given its memory back.
        var slots: UnsafeMutablePointer<Slot>?
        /// Places that are in use.
        var used: UInt32 = 0
        /// Places that have been in use.
        var begun: UInt32 = 0
        var firstFree = TimerSlots.noPlace

        var isFull: Bool { used == TimerSlots.chunkSize }
    }

    private var chunks: ContiguousArray<Chunk> = []
    /// The chunks with a free place; the last one is filled first.
    private var open: ContiguousArray<UInt32> = []
    /// The chunks that have given their memory back.
    private var empty: ContiguousArray<UInt32> = []

    init() {}

    deinit {
        for chunk in chunks {
            chunk.slots?.deinitialize(count: Int(chunk.begun))
            cu_free(chunk.slots)
        }
    }

    /// Places that have memory, taken or free.
    var capacity: Int { chunks.count { $0.slots != nil } * Self.chunkSize }

    @inline(__always)
    mutating func insert(_ action: TimerAction, for sequence: UInt64) -> UInt32 {
        if open.isEmpty { openChunk() }
        let number = open[open.count - 1]
        let place = takePlace(in: Int(number), Slot(owner: sequence, action: action))
        if chunks[Int(number)].isFull { open.removeLast() }
        return number << Self.chunkBits | place
    }

    /// Whether the timeout is neither due nor gone.
    @inline(__always)
    func isLive(_ timeout: Timeout) -> Bool {
        owner(timeout) == timeout.sequence
    }

    /// Whether the timeout is not gone.
    @inline(__always)
    func isTaken(_ timeout: Timeout) -> Bool {
        owner(timeout) & ~Self.dueBit == timeout.sequence
    }

    /// Begins to fetch what the timeout runs.
    @inline(__always)
    func prefetch(_ timeout: Timeout) {
        cu_prefetch(slot(timeout))
    }

    /// Marks a timeout that is to run, and begins to fetch what its closure has captured.
    ///
    /// - Returns: False if it is gone.
    @inline(__always)
    mutating func markDue(_ timeout: Timeout) -> Bool {
        guard let slot = slot(timeout), slot.pointee.owner == timeout.sequence else { return false }
        slot.pointee.owner |= Self.dueBit
        cu_prefetch(UnsafeRawPointer(slot).load(fromByteOffset: 16, as: UnsafeRawPointer?.self))
        return true
    }

    /// Gives the place of a timeout back, unless it is gone already.
    ///
    /// - Returns: What it was to run, and whether it was due.
    @inline(__always)
    mutating func remove(_ timeout: Timeout) -> (action: TimerAction, wasDue: Bool)? {
        guard let slot = slot(timeout) else { return nil }
        let owner = slot.pointee.owner
        guard owner & ~Self.dueBit == timeout.sequence,
            let action = slot.pointee.action.take()
        else { return nil }
        let number = Int(timeout.slot >> Self.chunkBits)
        slot.pointee.owner = Self.freeBit | UInt64(chunks[number].firstFree)
        chunks[number].firstFree = timeout.slot & UInt32(Self.chunkSize - 1)
        if chunks[number].isFull { open.append(UInt32(number)) }
        chunks[number].used -= 1
        if chunks[number].used == 0 { emptied(number) }
        return (action, owner & Self.dueBit != 0)
    }

    @inline(__always)
    private func owner(_ timeout: Timeout) -> UInt64 {
        slot(timeout)?.pointee.owner ?? Self.freeBit
    }

    @inline(__always)
    private func slot(_ timeout: Timeout) -> UnsafeMutablePointer<Slot>? {
        let chunk = Int(timeout.slot >> Self.chunkBits)
        let index = timeout.slot & UInt32(Self.chunkSize - 1)
        guard chunk < chunks.count, index < chunks[chunk].begun else { return nil }
        return chunks[chunk].slots.map { $0 + Int(index) }
    }

    @inline(__always)
    private mutating func takePlace(in number: Int, _ slot: consuming Slot) -> UInt32 {
        guard let slots = chunks[number].slots else { return 0 }
        chunks[number].used += 1
        let place = chunks[number].firstFree
        guard place != Self.noPlace else {
            let next = chunks[number].begun
            (slots + Int(next)).initialize(to: slot)
            chunks[number].begun += 1
            return next
        }
        let free = slots + Int(place)
        chunks[number].firstFree = UInt32(truncatingIfNeeded: free.pointee.owner)
        free.pointee = slot
        return place
    }

    @inline(never)
    private mutating func openChunk() {
        // Of what malloc gives in such a size, only the pages that are used take memory.
        let memory = cu_allocate(Self.chunkSize * MemoryLayout<Slot>.stride)
        let chunk = Chunk(slots: memory.bindMemory(to: Slot.self, capacity: Self.chunkSize))
        if let number = empty.popLast() {
            chunks[Int(number)] = chunk
            open.append(number)
        } else {
            open.append(UInt32(chunks.count))
            chunks.append(chunk)
        }
    }

    /// The only chunk with room is kept, so that a timeout that comes and goes allocates nothing.
    @inline(never)
    private mutating func emptied(_ number: Int) {
        guard open.count > 1 else { return }
        open.removeAll { $0 == number }
        // No action is left in it to be freed.
        cu_free(chunks[number].slots)
        chunks[number] = Chunk(slots: nil)
        empty.append(UInt32(number))
    }
}
