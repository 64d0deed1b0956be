// Unsafe: raw memory for reads. One allocation per loop, freed with it; used only within one call.

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
    let scratch: UnsafeMutableRawBufferPointer
    private var spare: [[UInt8]] = []

    init() {
        scratch = .allocate(byteCount: BufferPool.readChunk, alignment: 64)
    }

    deinit {
        scratch.deallocate()
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
