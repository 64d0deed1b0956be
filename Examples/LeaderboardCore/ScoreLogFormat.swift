/// The bytes of a score log.
///
/// ```
/// file    "updscore"  version: u32      record  record  …
/// record  0xFF 0xFE   uidLength: u8     uid: UTF-8   score: i64   crc: u32
/// ```
/// Integers are little-endian. The CRC-32 covers everything from `uidLength` to `score`.
///
/// The two bytes that begin a record occur in no UTF-8, and the score and CRC that follow a uid
/// are shorter than any record. So no uid, whatever a peer chooses, makes the inside of a damaged
/// last record look like the beginning of another one.
enum ScoreLogFormat {
    static let version: UInt32 = 1
    static let magic: [UInt8] = Array("updscore".utf8)
    static let header: [UInt8] = magic + littleEndianBytes(version)

    /// Marker, length, score and CRC: what a record has besides its uid.
    static let recordOverheadBytes = 2 + 1 + 8 + 4
    static let recordBytesMin = recordOverheadBytes + 1
    static let recordBytesMax = recordOverheadBytes + ScoreRecord.uidBytesMax

    /// What some bytes begin with.
    enum Decoded {
        case record(ScoreRecord, bytes: Int)
        /// The beginning of a record that goes on after the last byte.
        case incomplete
        /// A whole record by its length, with a wrong checksum or a uid that is no UTF-8.
        case damaged(bytes: Int)
        /// Not the beginning of a record.
        case unrecognised
    }

    /// Appends a record's bytes; the uid must have been validated.
    static func encode(_ record: ScoreRecord, into bytes: inout [UInt8]) {
        bytes.append(0xFF)
        bytes.append(0xFE)
        let checked = bytes.count
        bytes.append(UInt8(record.uid.utf8.count))
        bytes.append(contentsOf: record.uid.utf8)
        append(UInt64(bitPattern: record.score), to: &bytes)
        let checksum = bytes.withUnsafeBytes { all in
            CRC32.checksum(UnsafeRawBufferPointer(rebasing: all[checked...]))
        }
        append(checksum, to: &bytes)
    }

    /// Reads the record at the beginning of the bytes, of which there must be one at least.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> Decoded {
        guard bytes[0] == 0xFF, bytes.count < 2 || bytes[1] == 0xFE else { return .unrecognised }
        guard bytes.count >= 3 else { return .incomplete }
        let uidBytes = Int(bytes[2])
        guard uidBytes > 0 else { return .unrecognised }
        let total = recordOverheadBytes + uidBytes
        guard bytes.count >= total else { return .incomplete }

        let checked = UnsafeRawBufferPointer(rebasing: bytes[2..<total - 4])
        let uid = bytes[3..<3 + uidBytes]
        guard CRC32.checksum(checked) == integer(bytes, at: total - 4, UInt32.self),
            let uid = String(validating: UnsafeRawBufferPointer(rebasing: uid), as: UTF8.self)
        else { return .damaged(bytes: total) }
        let score = Int64(bitPattern: integer(bytes, at: 3 + uidBytes, UInt64.self))
        return .record(ScoreRecord(uid: uid, score: score), bytes: total)
    }

    static func integer<T: FixedWidthInteger>(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, _ type: T.Type
    ) -> T {
        T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: type))
    }

    private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private static func littleEndianBytes(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}
