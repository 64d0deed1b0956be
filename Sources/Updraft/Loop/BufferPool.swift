// Unsafe: raw memory for reads. It belongs to the loop and is freed with it; what is read to it is
// used within one call only.

/// Memory that the streams of one loop share, so that an idle connection holds none.
struct BufferPool: ~Copyable {
    /// Bytes that one system call reads at the most (contract row J1: 64 KiB).
    static let readChunk = 65_536

    /// Capacity of a fresh write buffer, in bytes.
    static let writeCapacity = 4_096

    /// Buffers that are kept for later, and the largest that is worth keeping.
    private static let spareMax = 256
    private static let spareCapacityMax = 262_144

    /// Where every stream of the loop reads to first.
    private(set) var scratch: UnsafeMutableRawBufferPointer
    /// Takes the place of what is lent; made when something is lent first.
    private var spareScratch: UnsafeMutableRawBufferPointer?
    private var spare: [[UInt8]] = []

    init() {
        scratch = BufferPool.makeScratch()
    }

    deinit {
        scratch.deallocate()
        spareScratch?.deallocate()
    }

    /// Sets the scratch memory aside for a parser to look at. The parser runs user code, which may
    /// make any stream of the loop read: that stream reads to other memory.
    ///
    /// - Returns: What is to be given to `takeBackScratch`; what was lent last comes back first.
    mutating func lendScratch() -> UnsafeMutableRawBufferPointer {
        let lent = scratch
        scratch = spareScratch ?? BufferPool.makeScratch()
        spareScratch = nil
        return lent
    }

    mutating func takeBackScratch(_ lent: UnsafeMutableRawBufferPointer) {
        if spareScratch == nil { spareScratch = scratch } else { scratch.deallocate() }
        scratch = lent
    }

    private static func makeScratch() -> UnsafeMutableRawBufferPointer {
        .allocate(byteCount: readChunk, alignment: 64)
    }

    /// An empty array with room.
    mutating func take() -> [UInt8] {
        if let buffer = spare.popLast() { return buffer }
        var buffer: [UInt8] = []
        buffer.reserveCapacity(BufferPool.writeCapacity)
        return buffer
    }

    /// Takes an array back.
    mutating func give(_ buffer: consuming [UInt8]) {
        let capacity = buffer.capacity
        guard capacity >= BufferPool.writeCapacity, capacity <= BufferPool.spareCapacityMax,
            spare.count < BufferPool.spareMax
        else { return }
        buffer.removeAll(keepingCapacity: true)
        spare.append(buffer)
    }
}
