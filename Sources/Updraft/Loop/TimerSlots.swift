// Unsafe: raw memory for the places. A chunk's memory belongs to the `TimerSlots` that allocated
// it, which is not copyable, lives in a loop and is used by that loop's thread only. A place is
// initialised once its number is below its chunk's `begun`.

internal import CUpdraft

/// What a timeout runs.
///
/// In a structure of its own: a bare closure in memory that is generic over what it holds has to
/// take all as a generic function does, and is wrapped in a closure on the heap for that.
struct TimerAction {
    let run: () throws -> Void
}

/// What the pending timeouts of a loop run, in places that their handles know.
///
/// A place can't be moved while a handle may point at it, so one timeout that stays would keep
/// the memory of a million that have gone. Hence chunks: an empty one gives its memory back. Who
/// has a place is noted by the timeout's sequence number, which is never used again, so that a
/// handle that is out of date is told from a good one whatever has become of its place.
///
/// Among a million timeouts each place is a miss of all caches. Who has it and what is to run
/// are therefore apart: a look for dead keys sees only the former, eight to a cache line, and
/// taking a timeout out fetches both at the same time.
struct TimerSlots: ~Copyable {
    private static let chunkBits: UInt32 = 12
    private static let chunkSize = 1 << chunkBits
    private static let noPlace = UInt32.max

    /// Set in a sequence number: collected as due, not yet run, can still be removed.
    private static let dueBit: UInt64 = 1 << 63
    /// Set where nobody has the place; the rest is the next free place of the chunk, or `noPlace`.
    private static let freeBit: UInt64 = 1 << 62

    private struct Chunk {
        /// Nil once it has given its memory back.
        var owners: UnsafeMutablePointer<UInt64>?
        /// Behind the owners, in the same memory. The second word of an action is the address of
        /// what its closure has captured, which is only used to fetch that ahead.
        var actions: UnsafeMutablePointer<TimerAction?>?
        /// Places that are in use.
        var used: UInt32 = 0
        /// Places that have been in use.
        var begun: UInt32 = 0
        var firstFree = TimerSlots.noPlace

        var isFull: Bool { used == TimerSlots.chunkSize }

        /// Puts it into a free place, of which there must be one.
        @inline(__always)
        mutating func take(_ action: TimerAction, for sequence: UInt64) -> UInt32 {
            guard let owners, let actions else { return 0 }
            used += 1
            var place = firstFree
            if place == TimerSlots.noPlace {
                place = begun
                begun += 1
            } else {
                firstFree = UInt32(truncatingIfNeeded: owners[Int(place)])
            }
            owners[Int(place)] = sequence
            // Nothing was there, or nil: there is nothing to let go of.
            (actions + Int(place)).initialize(to: action)
            return place
        }

        /// Makes a place free.
        ///
        /// - Returns: Whether the chunk was full.
        @inline(__always)
        mutating func free(_ place: UInt32, of owner: UnsafeMutablePointer<UInt64>) -> Bool {
            let wasFull = isFull
            owner.pointee = TimerSlots.freeBit | UInt64(firstFree)
            firstFree = place
            used -= 1
            return wasFull
        }
    }

    private var chunks: ContiguousArray<Chunk> = []
    /// The chunks with a free place; the last one is filled first.
    private var open: ContiguousArray<UInt32> = []
    /// The chunks that have given their memory back.
    private var empty: ContiguousArray<UInt32> = []

    init() {}

    deinit {
        for chunk in chunks {
            chunk.actions?.deinitialize(count: Int(chunk.begun))
            cu_free(chunk.owners)
        }
    }

    /// Places that have memory, taken or free.
    var capacity: Int { chunks.count { $0.owners != nil } * Self.chunkSize }

    @inline(__always)
    mutating func insert(_ action: TimerAction, for sequence: UInt64) -> UInt32 {
        if open.isEmpty { openChunk() }
        let number = open[open.count - 1]
        let place = chunks[Int(number)].take(action, for: sequence)
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

    /// Begins to fetch who has the timeout's place.
    @inline(__always)
    func prefetchOwner(_ timeout: Timeout) {
        guard let place = place(timeout) else { return }
        cu_prefetch(place.owner)
    }

    /// Begins to fetch who has the timeout's place, and what it runs.
    @inline(__always)
    func prefetch(_ timeout: Timeout) {
        guard let place = place(timeout) else { return }
        cu_prefetch(place.owner)
        cu_prefetch(place.action)
    }

    /// Marks a timeout that is to run, and begins to fetch what its closure has captured.
    ///
    /// - Returns: False if it is gone.
    @inline(__always)
    mutating func markDue(_ timeout: Timeout) -> Bool {
        guard let place = place(timeout), place.owner.pointee == timeout.sequence else {
            return false
        }
        place.owner.pointee |= Self.dueBit
        let word = MemoryLayout<UnsafeRawPointer?>.size
        let captures = UnsafeRawPointer(place.action)
        cu_prefetch(captures.load(fromByteOffset: word, as: UnsafeRawPointer?.self))
        return true
    }

    /// Gives the place of a timeout back, unless it is gone already.
    ///
    /// - Returns: What it was to run, and whether it was due.
    @inline(__always)
    mutating func remove(_ timeout: Timeout) -> (action: TimerAction, wasDue: Bool)? {
        guard let place = place(timeout) else { return nil }
        let owner = place.owner.pointee
        guard owner & ~Self.dueBit == timeout.sequence,
            let action = place.action.pointee.take()
        else { return nil }
        let number = Int(timeout.slot >> Self.chunkBits)
        let index = timeout.slot & UInt32(Self.chunkSize - 1)
        if chunks[number].free(index, of: place.owner) { open.append(UInt32(number)) }
        if chunks[number].used == 0 { emptied(number) }
        return (action, owner & Self.dueBit != 0)
    }

    @inline(__always)
    private func owner(_ timeout: Timeout) -> UInt64 {
        place(timeout)?.owner.pointee ?? Self.freeBit
    }

    private struct Place {
        let owner: UnsafeMutablePointer<UInt64>
        let action: UnsafeMutablePointer<TimerAction?>
    }

    @inline(__always)
    private func place(_ timeout: Timeout) -> Place? {
        let number = Int(timeout.slot >> Self.chunkBits)
        let index = timeout.slot & UInt32(Self.chunkSize - 1)
        guard number < chunks.count, index < chunks[number].begun,
            let owners = chunks[number].owners, let actions = chunks[number].actions
        else { return nil }
        return Place(owner: owners + Int(index), action: actions + Int(index))
    }

    @inline(never)
    private mutating func openChunk() {
        // Of what malloc gives in such a size, only the pages that are used take memory.
        let ownersSize = Self.chunkSize * MemoryLayout<UInt64>.stride
        let actionsSize = Self.chunkSize * MemoryLayout<TimerAction?>.stride
        let memory = cu_allocate(ownersSize + actionsSize)
        let chunk = Chunk(
            owners: memory.bindMemory(to: UInt64.self, capacity: Self.chunkSize),
            actions: (memory + ownersSize).bindMemory(
                to: TimerAction?.self, capacity: Self.chunkSize))
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
        cu_free(chunks[number].owners)
        chunks[number] = Chunk()
        empty.append(UInt32(number))
    }
}
