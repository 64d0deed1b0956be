// Unsafe: lends its bytes as a raw pointer for the length of a call.

internal import CUpdraft

/// Bytes that were received and not yet read: only what a reader left behind.
///
/// Bytes are taken from the front by moving `start`; the gap is closed when it has become the
/// larger half, so that a byte is moved at most once on average. Empty, it holds no memory.
struct ReadBuffer {
    private var storage: [UInt8] = []
    private var start = 0

    var count: Int { storage.count - start }
    var isEmpty: Bool { storage.count == start }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        closeGap()
        storage.append(contentsOf: bytes)
    }

    /// Takes the first bytes.
    ///
    /// - Parameter count: At most `self.count`.
    mutating func take(_ count: Int) -> [UInt8] {
        if start == 0, count == storage.count {
            defer { storage = [] }
            return storage
        }
        let bytes = withBytes { [UInt8](copying: $0, count) }
        drop(count)
        return bytes
    }

    mutating func drop(_ count: Int) {
        start += count
        if start == storage.count {
            storage = []
            start = 0
        }
    }

    /// Puts bytes that were taken in front again.
    mutating func putBack(_ bytes: ArraySlice<UInt8>) {
        storage.replaceSubrange(..<start, with: bytes)
        start = 0
    }

    func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try storage.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[start...])) }
    }

    private mutating func closeGap() {
        guard start > 0, start >= storage.count - start else { return }
        storage.removeFirst(start)
        start = 0
    }
}

extension [UInt8] {
    /// The first `count` bytes, in one allocation and one copy.
    init(copying bytes: UnsafeRawBufferPointer, _ count: Int) {
        self.init(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
    }
}

/// Looks for a delimiter in bytes that grow, without looking at a byte twice.
struct DelimiterScanner {
    private let delimiter: [UInt8]
    private var scanned = 0
    /// Bytes that were searched, counted as often as they were.
    package private(set) var lookedAt = 0

    init(_ delimiter: [UInt8]) {
        self.delimiter = delimiter
    }

    /// The length up to and with the delimiter, or nil if it is not there yet.
    ///
    /// - Parameter bytes: All bytes so far; those of the last call and what has been added.
    mutating func find(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress, bytes.count >= delimiter.count else { return nil }
        // The delimiter may straddle what was scanned and what is new.
        let from = max(0, scanned - (delimiter.count - 1))
        let offset = cu_find(base + from, bytes.count - from, delimiter, delimiter.count)
        scanned = bytes.count
        lookedAt += bytes.count - from
        return offset < 0 ? nil : from + offset + delimiter.count
    }
}
