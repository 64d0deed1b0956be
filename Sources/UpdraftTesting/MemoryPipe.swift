// Unsafe: copies between its own array and the caller's buffers, within one call.

/// One direction of a memory connection: bytes in order, up to a capacity.
final class MemoryPipe {
    let capacity: Int
    private var bytes: [UInt8] = []
    private var start = 0

    /// Whether the writer has ended this direction.
    var isEnded = false

    var count: Int { bytes.count - start }
    var room: Int { capacity - count }

    init(capacity: Int) {
        precondition(capacity > 0, "a pipe needs room for a byte")
        self.capacity = capacity
    }

    /// Bytes accepted, as many as there is room for.
    func write(_ source: UnsafeRawBufferPointer) -> Int {
        let accepted = min(source.count, room)
        bytes.append(contentsOf: source.prefix(accepted))
        return accepted
    }

    /// Bytes read, as many as there are and fit.
    func read(into target: UnsafeMutableRawBufferPointer) -> Int {
        let taken = min(target.count, count)
        target.copyBytes(from: bytes[start..<start + taken])
        start += taken
        if start == bytes.count || start >= capacity {
            bytes.removeFirst(start)
            start = 0
        }
        return taken
    }

    func removeAll() {
        bytes = []
        start = 0
    }
}
