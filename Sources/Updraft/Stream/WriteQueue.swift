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

    /// Pieces offered to one system call at the most.
    private static let piecesPerWrite = 16

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
    /// - Returns: Whether all that was offered was accepted.
    mutating func send(to transport: any Transport, pool: inout BufferPool) throws -> Bool {
        let offered: Int
        let accepted: Int
        if let file = front.file { return try send(file, to: transport, &pool) }
        if rest.isEmpty {
            offered = count
            accepted = try front.bytes.withUnsafeBytes {
                try transport.write(UnsafeRawBufferPointer(rebasing: $0[frontOffset...]))
            }
        } else {
            let pieces = rest.prefix(WriteQueue.piecesPerWrite - 1).prefix { $0.file == nil }
            offered = pieces.reduce(front.bytes.count - frontOffset) { $0 + $1.bytes.count }
            accepted = try front.bytes.withUnsafeBytes {
                let first = UnsafeRawBufferPointer(rebasing: $0[frontOffset...])
                return try WriteQueue.write(pieces, after: [first], to: transport)
            }
        }
        drop(accepted, &pool)
        return accepted == offered
    }

    private mutating func send(
        _ file: FileSource, to transport: any Transport, _ pool: inout BufferPool
    ) throws -> Bool {
        let (sent, isRoomLeft) = try file.send(to: transport, scratch: pool.scratch)
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
        _ pieces: ArraySlice<Piece>, after pointers: [UnsafeRawBufferPointer],
        to transport: any Transport
    ) throws -> Int {
        guard let piece = pieces.first else { return try transport.write(pointers) }
        return try piece.bytes.withUnsafeBytes {
            try write(pieces.dropFirst(), after: pointers + [$0], to: transport)
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
