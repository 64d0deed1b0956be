// Unsafe: lends its bytes as raw pointers for the length of a call.

/// Bytes that were written and not yet sent, in order.
///
/// The first array written waits as it is, uncopied: most turns write once to a stream. Further
/// small writes are gathered with it in one buffer of the loop's pool, so that many of them leave
/// in one `send`; large ones are kept as they are (conformance list 3.2, 50 and 51).
struct WriteQueue {
    /// From this size on a piece is never copied, in bytes.
    static let ownPieceMin = 4_096

    /// Bytes gathered in one buffer at the most.
    private static let gatheredMax = 65_536

    /// Pieces offered to one system call at the most: so many that the list of them, 1 KiB, still
    /// stands on the stack.
    private static let piecesPerWrite = 64

    /// Files that may wait at once. Each has a descriptor, of which a process has often no more
    /// than 1,024 for everything.
    private static let filesMax = 64

    private struct Piece {
        var bytes: [UInt8]
        /// Whether the array is ours to append to, from the pool.
        var isGathered: Bool
        /// Part of a file in place of the bytes.
        var file: FileSource?
    }

    private var front = Piece(bytes: [], isGathered: false)
    private var frontOffset = 0
    private var rest: [Piece] = []

    /// Bytes that wait.
    private(set) var count = 0
    /// Those of them that are still in files.
    private(set) var fileCount = 0

    var isEmpty: Bool { count == 0 }

    /// Whether a file is next.
    var isAtFile: Bool { front.file != nil }

    /// - Throws: `StreamError` with `.bufferFull` if no more files may wait.
    func checkRoomForFile() throws {
        guard fileCount > 0 else { return }
        let files = rest.count { $0.file != nil } + (isAtFile ? 1 : 0)
        guard files >= WriteQueue.filesMax else { return }
        throw StreamError(.bufferFull, "\(files) files wait to be sent, which is the limit.")
    }

    /// Keeps the array, or copies it behind what is gathered.
    mutating func append(_ bytes: [UInt8], pool: inout BufferPool) {
        if count == 0 {
            front = Piece(bytes: bytes, isGathered: false)
            count = bytes.count
        } else if bytes.count >= WriteQueue.ownPieceMin {
            rest.append(Piece(bytes: bytes, isGathered: false))
            count += bytes.count
        } else {
            bytes.withUnsafeBytes { append($0, pool: &pool) }
        }
    }

    /// Keeps the file until all of it is sent.
    mutating func append(_ file: FileSource) {
        guard file.remaining > 0 else { return }
        let piece = Piece(bytes: [], isGathered: false, file: file)
        if count == 0 { front = piece } else { rest.append(piece) }
        count += file.remaining
        fileCount += file.remaining
    }

    /// Copies the bytes.
    mutating func append(_ bytes: UnsafeRawBufferPointer, pool: inout BufferPool) {
        guard !bytes.isEmpty else { return }
        if rest.isEmpty {
            if count == 0 {
                front = Piece(bytes: pool.take(), isGathered: true)
            } else if !front.isGathered, !isAtFile, front.bytes.count < WriteQueue.ownPieceMin {
                gatherFront(&pool)
            }
            if front.isGathered, front.bytes.count < WriteQueue.gatheredMax {
                front.bytes.append(contentsOf: bytes)
                count += bytes.count
                return
            }
        }
        appendToRest(bytes, &pool)
    }

    /// Offers the front of the queue to the transport and drops what it accepted.
    ///
    /// - Parameter limit: Bytes that are offered at the most, at least one.
    /// - Returns: Whether all that was offered was accepted.
    mutating func send(
        to transport: any Transport, atMost limit: Int, pool: inout BufferPool
    ) throws -> Bool {
        if let file = front.file { return try send(file, to: transport, atMost: limit, &pool) }
        var offered = min(front.bytes.count - frontOffset, limit)
        let accepted: Int
        if rest.isEmpty || offered == limit {
            accepted = try front.bytes.withUnsafeBytes {
                let bytes = $0[frontOffset..<frontOffset + offered]
                return try transport.write(UnsafeRawBufferPointer(rebasing: bytes))
            }
        } else {
            (accepted, offered) = try sendSeveral(to: transport, atMost: limit)
        }
        drop(accepted, &pool)
        return accepted == offered
    }

    /// Offers as many pieces as may go together, of the last one perhaps a part.
    private func sendSeveral(
        to transport: any Transport, atMost limit: Int
    ) throws -> (accepted: Int, offered: Int) {
        var count = front.bytes.count - frontOffset
        var end = 0
        while count < limit, end < min(rest.count, WriteQueue.piecesPerWrite - 1),
            rest[end].file == nil
        {
            count += rest[end].bytes.count
            end += 1
        }
        let excess = max(0, count - limit)
        var list: [UnsafeRawBufferPointer] = []
        list.reserveCapacity(end + 1)
        let accepted = try front.bytes.withUnsafeBytes {
            list.append(UnsafeRawBufferPointer(rebasing: $0[frontOffset...]))
            return try WriteQueue.write(rest[..<end], &list, without: excess, to: transport)
        }
        return (accepted, count - excess)
    }

    private mutating func send(
        _ file: FileSource, to transport: any Transport, atMost limit: Int,
        _ pool: inout BufferPool
    ) throws -> Bool {
        let (sent, isRoomLeft) = try file.send(
            to: transport, atMost: limit, scratch: pool.scratch)
        count -= sent
        fileCount -= sent
        if file.remaining == 0 {
            front = Piece(bytes: [], isGathered: false)
            drop(0, &pool)
        }
        return isRoomLeft
    }

    /// Forgets everything.
    mutating func removeAll(_ pool: inout BufferPool) {
        if front.isGathered { pool.give(front.bytes) }
        for piece in rest where piece.isGathered { pool.give(piece.bytes) }
        self = WriteQueue()
    }

    /// Nests one scope per piece, so that every pointer is valid in the innermost.
    private static func write(
        _ pieces: ArraySlice<Piece>, _ list: inout [UnsafeRawBufferPointer], without excess: Int,
        to transport: any Transport
    ) throws -> Int {
        guard let piece = pieces.first else {
            if let last = list.popLast() { list.append(.init(rebasing: last.dropLast(excess))) }
            return try transport.write(list)
        }
        return try piece.bytes.withUnsafeBytes {
            list.append($0)
            return try write(pieces.dropFirst(), &list, without: excess, to: transport)
        }
    }

    private mutating func gatherFront(_ pool: inout BufferPool) {
        var buffer = pool.take()
        buffer.append(contentsOf: front.bytes[frontOffset...])
        front = Piece(bytes: buffer, isGathered: true)
        frontOffset = 0
    }

    private mutating func appendToRest(_ bytes: UnsafeRawBufferPointer, _ pool: inout BufferPool) {
        count += bytes.count
        if let last = rest.indices.last, rest[last].isGathered,
            rest[last].bytes.count < WriteQueue.gatheredMax
        {
            rest[last].bytes.append(contentsOf: bytes)
            return
        }
        var buffer = pool.take()
        buffer.append(contentsOf: bytes)
        rest.append(Piece(bytes: buffer, isGathered: true))
    }

    private mutating func drop(_ bytes: Int, _ pool: inout BufferPool) {
        count -= bytes
        frontOffset += bytes
        guard frontOffset >= front.bytes.count, !isAtFile else { return }
        if rest.isEmpty { return clearFront(&pool) }
        var sent = 0
        while frontOffset >= front.bytes.count, !isAtFile, sent < rest.count {
            frontOffset -= front.bytes.count
            if front.isGathered { pool.give(front.bytes) }
            front = rest[sent]
            rest[sent] = Piece(bytes: [], isGathered: false)
            sent += 1
        }
        rest.removeFirst(sent)
        if count == 0 { clearFront(&pool) }
    }

    private mutating func clearFront(_ pool: inout BufferPool) {
        if front.isGathered { pool.give(front.bytes) }
        front = Piece(bytes: [], isGathered: false)
        frontOffset = 0
    }
}
