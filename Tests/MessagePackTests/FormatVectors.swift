import Testing

/// The bytes of one value; named by their head alone in the output, as some are long.
struct FormatVector: CustomTestStringConvertible {
    let bytes: [UInt8]

    var testDescription: String { "\(bytes.prefix(6)) of \(bytes.count) bytes" }
}

/// One value in each format, at the lengths where formats change.
enum FormatVectors {
    static let all = (scalars + strings + binaries + extensions + containers)
        .map(FormatVector.init)

    static let scalars: [[UInt8]] = [
        [0x00], [0x7f], [0xc0], [0xc2], [0xc3],
        [0xca, 0x3f, 0xc0, 0, 0], [0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
        [0xcc, 0x80], [0xcd, 1, 0], [0xce, 0, 1, 0, 0], [0xcf, 0, 0, 0, 1, 0, 0, 0, 0],
        [0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0],
        [0xd0, 0x80], [0xd1, 0x80, 0], [0xd2, 0x80, 0, 0, 0],
        [0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], [0xe0], [0xff],
    ]

    static let strings: [[UInt8]] = [
        [0xa0], [0xa1, 0x61], [0xbf] + text(31), [0xd9, 32] + text(32),
        [0xd9, 255] + text(255), [0xda, 1, 0] + text(256), [0xda, 2, 1] + text(513),
    ]

    static let binaries: [[UInt8]] = [
        [0xc4, 0], [0xc4, 1, 0xc1], [0xc4, 255] + text(255), [0xc5, 1, 0] + text(256),
    ]

    static let extensions: [[UInt8]] = [
        [0xd4, 5, 1], [0xd5, 5, 1, 2], [0xd6, 0xff, 1, 2, 3, 4], [0xd7, 5] + text(8),
        [0xd8, 5] + text(16), [0xc7, 0, 5], [0xc7, 3, 0x80, 1, 2, 3],
        [0xc7, 255, 5] + text(255), [0xc8, 1, 0, 5] + text(256),
    ]

    static let containers: [[UInt8]] = [
        [0x90], [0x91, 0xc0], [0x9f] + nils(15), [0xdc, 0, 16] + nils(16),
        [0x80], [0x81, 0xa1, 0x61, 0x01], [0x8f] + nils(30), [0xde, 0, 16] + nils(32),
        [0x82, 0x01, 0x02, 0x01, 0x03], [0x81, 0x90, 0x80],
        [0x93, 0x91, 0x91, 0x90, 0x81, 0xc0, 0x92, 0x90, 0x80, 0xc3],
    ]

    /// Lengths that take the widest field; too long for tests that are not linear.
    static let long: [FormatVector] = [
        [0xda, 0xff, 0xff] + text(65535), [0xdb, 0, 1, 0, 0] + text(65536),
        [0xc5, 0xff, 0xff] + text(65535), [0xc6, 0, 1, 0, 0] + text(65536),
        [0xc8, 0xff, 0xff, 5] + text(65535), [0xc9, 0, 1, 0, 0, 5] + text(65536),
        [0xdc, 0xff, 0xff] + nils(65535), [0xdd, 0, 1, 0, 0] + nils(65536),
        [0xde, 0xff, 0xff] + nils(131_070), [0xdf, 0, 1, 0, 0] + nils(131_072),
    ].map(FormatVector.init)

    static func text(_ count: Int) -> [UInt8] { [UInt8](repeating: 0x61, count: count) }
    static func nils(_ count: Int) -> [UInt8] { [UInt8](repeating: 0xc0, count: count) }
}
