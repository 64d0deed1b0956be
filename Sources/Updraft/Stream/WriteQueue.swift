// Unsafe: lends its bytes as raw pointers for the length of a call.

/// Bytes that were written and not yet sent, in order.
///
/// Small writes are gathered in one buffer, so that many of them leave in one `send`; large ones
/// are kept as they are, uncopied (conformance list 3.2, 50 and 51).
struct WriteQueue {
    /// From this size on a piece is kept instead of copied, in bytes.
    static let ownPieceMin = 4_096

    /// Bytes gathered in one buffer at the most.
    private static let gatheredMax = 65_536

    /// Pieces offered to one system call at the most.
    private static let piecesPerWrite = 16

    private enum Piece {
        /// Ours to append to, from the loop's pool.
        case gathered([UInt8])
        /// The caller's array.
        case kept([UInt8])

        var count: Int {
            switch self {
            case .gathered(let bytes), .kept(let bytes): bytes.count
            }
        }
    }

    private var pieces: [Piece] = []
    private var head = 0
    private var headOffset = 0

    /// Bytes that wait.
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ bytes: [UInt8], pool: inout BufferPool) {
        if bytes.count >= WriteQueue.ownPieceMin {
            pieces.append(.kept(bytes))
            count += bytes.count
        } else {
            bytes.withUnsafeBytes { append($0, pool: &pool) }
        }
    }

    /// Copies the bytes.
    mutating func append(_ bytes: UnsafeRawBufferPointer, pool: inout BufferPool) {
        guard !bytes.isEmpty else { return }
        var buffer = takeTail(&pool)
        buffer.append(contentsOf: bytes)
        pieces.append(.gathered(buffer))
        count += bytes.count
    }

    /// Offers the front of the queue to `write`, which returns the bytes it accepted, and drops
    /// those.
    ///
    /// - Returns: Whether all that was offered was accepted.
    mutating func send(
        pool: inout BufferPool, _ write: ([UnsafeRawBufferPointer]) throws -> Int
    ) rethrows -> Bool {
        let end = min(pieces.count, head + WriteQueue.piecesPerWrite)
        var offered = 0
        let accepted = try withPieces(head..<end, []) { pointers in
            for pointer in pointers { offered += pointer.count }
            return try write(pointers)
        }
        drop(accepted, &pool)
        return accepted == offered
    }

    /// Forgets everything.
    mutating func removeAll(_ pool: inout BufferPool) {
        drop(count, &pool)
    }

    /// Nests one scope per piece, so that every pointer is valid in the innermost.
    private func withPieces<R>(
        _ range: Range<Int>, _ pointers: [UnsafeRawBufferPointer],
        _ body: ([UnsafeRawBufferPointer]) throws -> R
    ) rethrows -> R {
        guard let index = range.first else { return try body(pointers) }
        let offset = index == head ? headOffset : 0
        switch pieces[index] {
        case .gathered(let bytes), .kept(let bytes):
            return try bytes.withUnsafeBytes { raw in
                let piece = UnsafeRawBufferPointer(rebasing: raw[offset...])
                return try withPieces(range.dropFirst(), pointers + [piece], body)
            }
        }
    }

    private mutating func takeTail(_ pool: inout BufferPool) -> [UInt8] {
        guard pieces.count > head, case .gathered(let bytes)? = pieces.last,
            bytes.count < WriteQueue.gatheredMax
        else { return pool.take() }
        pieces.removeLast()
        return bytes
    }

    private mutating func drop(_ bytes: Int, _ pool: inout BufferPool) {
        count -= bytes
        headOffset += bytes
        while head < pieces.count, headOffset >= pieces[head].count {
            headOffset -= pieces[head].count
            if case .gathered(let buffer) = pieces[head] {
                pieces[head] = .kept([])
                pool.give(buffer)
            }
            head += 1
        }
        if head == pieces.count {
            pieces.removeAll(keepingCapacity: pieces.count <= 4)
            head = 0
        } else if head >= 64 {
            pieces.removeFirst(head)
            head = 0
        }
    }
}
