/// Base64 with padding (RFC 4648, section 4). Here because Foundation, which has it, takes longer
/// to load than a call takes.
enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let padding = UInt8(ascii: "=")

    static func text(of bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
            for position in 0..<4 {
                let digit = bits >> (18 - 6 * position) & 0x3F
                text.append(position <= group.count ? alphabet[digit] : padding)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// - Returns: nil if the text is no base64, or has bits beyond its last byte.
    static func bytes(of text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 4) else { return nil }
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: digits.count, by: 4) {
            var group = digits[start..<start + 4]
            if start + 4 == digits.count {
                while group.count > 2, group.last == padding { group.removeLast() }
            }
            var bits = 0
            for digit in group {
                guard let value = alphabet.firstIndex(of: digit) else { return nil }
                bits = bits << 6 | value
            }
            let missing = 4 - group.count
            bits <<= 6 * missing
            guard missing == 0 || bits & (1 << (8 * missing) - 1) == 0 else { return nil }
            for position in 0..<3 - missing {
                bytes.append(UInt8(truncatingIfNeeded: bits >> (16 - 8 * position)))
            }
        }
        return bytes
    }
}
