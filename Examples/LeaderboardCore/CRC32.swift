/// The CRC-32 of Ethernet, gzip and PNG (reflected polynomial 0xEDB88320).
///
/// The module has no other use for a compression library, so this avoids a dependency on zlib.
enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { byte in
        var remainder = UInt32(byte)
        for _ in 0..<8 {
            remainder = (remainder >> 1) ^ (remainder & 1 == 0 ? 0 : 0xEDB8_8320)
        }
        return remainder
    }

    /// The checksum of all bytes; 0 for none.
    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        table.withUnsafeBufferPointer { table in
            var remainder: UInt32 = 0xFFFF_FFFF
            for byte in bytes {
                let index = UInt8(truncatingIfNeeded: remainder) ^ byte
                remainder = (remainder >> 8) ^ table[Int(index)]
            }
            return ~remainder
        }
    }
}
