/// Reads a score log from its header to its end through a buffer of fixed size.
struct ScoreLogReader {
    /// What comes next in the file.
    enum Step {
        case record(ScoreRecord)
        case end
        /// The last record is incomplete or damaged, from `offset` on.
        case tornTail
    }

    /// Where in the file the next record begins.
    private(set) var offset: Int64
    private let file: ScoreLogFile
    private var buffer: [UInt8]
    private var unread = 0..<0
    /// The file's length. Nobody else writes it: the log holds the folder's lock.
    private let fileBytes: Int64

    /// - Parameters:
    ///   - file: A log whose header was checked.
    ///   - fileBytes: Where to stop reading.
    ///   - bufferBytes: At least `ScoreLogFormat.recordBytesMax`.
    init(_ file: ScoreLogFile, fileBytes: Int64, bufferBytes: Int = 256 * 1024) {
        precondition(bufferBytes >= ScoreLogFormat.recordBytesMax)
        self.file = file
        self.fileBytes = fileBytes
        offset = Int64(ScoreLogFormat.header.count)
        buffer = [UInt8](repeating: 0, count: bufferBytes)
    }

    /// Whether the file has a whole header; false if it ends inside one, as it does when it is
    /// empty.
    ///
    /// - Throws: ``LeaderboardError`` if the file is no score log, or one of another version.
    static func checkHeader(of file: ScoreLogFile) throws -> Bool {
        let expected = ScoreLogFormat.header
        var header = [UInt8](repeating: 0, count: expected.count)
        let count = try header.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        let magicBytes = min(count, ScoreLogFormat.magic.count)
        guard header[..<magicBytes] == ScoreLogFormat.magic[..<magicBytes] else {
            throw LeaderboardError(.notAScoreLog, "\(file.path) is not a score log")
        }
        guard count == expected.count else { return false }
        let version = header.withUnsafeBytes {
            ScoreLogFormat.integer($0, at: ScoreLogFormat.magic.count, UInt32.self)
        }
        guard version == ScoreLogFormat.version else {
            throw LeaderboardError(
                .unsupportedVersion,
                "\(file.path) has format version \(version); "
                    + "this program reads version \(ScoreLogFormat.version)")
        }
        return true
    }

    /// Reads the next record.
    ///
    /// - Throws: ``LeaderboardError`` with code `corruptLog` if what is damaged is not just the
    ///   last record, or `fileFailed`.
    mutating func next() throws -> Step {
        if unread.count < ScoreLogFormat.recordBytesMax { try fill() }
        guard !unread.isEmpty else { return .end }
        let decoded = withUnread { ScoreLogFormat.decode($0) }
        if case .record(let record, let bytes) = decoded {
            consume(bytes)
            return .record(record)
        }
        guard try isTornTail(decoded) else {
            throw LeaderboardError(
                .corruptLog,
                "\(file.path) is damaged at byte \(offset), with \(fileBytes - offset) bytes from "
                    + "there to its end; nothing was changed: restore the file from a backup, or "
                    + "cut it off there to lose what follows")
        }
        return .tornTail
    }

    /// Tells a write that was cut short, whose bytes nobody was promised, from damage to stored
    /// records.
    ///
    /// A killed process leaves the first part of a record. A power failure may also leave a last
    /// record with wrong contents, or zeros where the file was extended but never written.
    private mutating func isTornTail(_ decoded: ScoreLogFormat.Decoded) throws -> Bool {
        let rest = fileBytes - offset
        if rest > Int64(ScoreLogFormat.recordBytesMax) {
            return try isZeroToTheEnd()
        }
        // All of the rest is in the buffer now.
        if case .damaged(let bytes) = decoded, bytes < Int(rest) { return false }
        // Damage to a length can make a record seem to be the last one when it is not.
        return !withUnread { bytes in
            (1..<bytes.count).contains { start in
                let tail = UnsafeRawBufferPointer(rebasing: bytes[start...])
                if case .record = ScoreLogFormat.decode(tail) { return true }
                return false
            }
        }
    }

    private mutating func isZeroToTheEnd() throws -> Bool {
        let start = offset
        // Reports name the place where the damage begins, also after this has read on.
        defer { offset = start }
        while !unread.isEmpty {
            guard withUnread({ $0.allSatisfy { $0 == 0 } }) else { return false }
            consume(unread.count)
            try fill()
        }
        return true
    }

    private mutating func fill() throws {
        let count = unread.count
        buffer.withUnsafeMutableBytes { buffer in
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[unread]))
        }
        unread = 0..<count
        while unread.count < ScoreLogFormat.recordBytesMax {
            let position = offset + Int64(unread.count)
            let wanted = min(Int64(buffer.count - unread.count), fileBytes - position)
            guard wanted > 0 else { return }
            let free = unread.upperBound..<unread.upperBound + Int(wanted)
            let result = try buffer.withUnsafeMutableBytes { buffer in
                try file.read(
                    into: UnsafeMutableRawBufferPointer(rebasing: buffer[free]), at: position)
            }
            guard result > 0 else { return }
            unread = 0..<unread.upperBound + result
        }
    }

    private mutating func consume(_ bytes: Int) {
        unread = unread.lowerBound + bytes..<unread.upperBound
        offset += Int64(bytes)
    }

    private func withUnread<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        buffer.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[unread])) }
    }
}
