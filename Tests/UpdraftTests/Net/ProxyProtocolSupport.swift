import TestSupport
import Updraft

/// Headers as proxies write them.
enum ProxyHeaders {
    static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]

    /// Version 2.
    ///
    /// - Parameters:
    ///   - command: The version, 2, in the upper four bits.
    ///   - family: The family in the upper four bits, the kind of socket in the lower.
    static func binary(
        command: UInt8 = 0x21, family: UInt8 = 0x11, _ block: [UInt8] = ipv4
    ) -> [UInt8] {
        signature + [command, family, UInt8(block.count >> 8), UInt8(block.count & 0xFF)] + block
    }

    /// 198.51.100.7:50000 to 192.0.2.1:443.
    static let ipv4: [UInt8] = [198, 51, 100, 7, 192, 0, 2, 1, 0xC3, 0x50, 0x01, 0xBB]

    /// [2001:db8::7]:50000 to [2001:db8::1]:443.
    static let ipv6: [UInt8] =
        [0x20, 0x01, 0x0D, 0xB8] + zeros(11) + [7] + [0x20, 0x01, 0x0D, 0xB8] + zeros(11) + [1]
        + [0xC3, 0x50, 0x01, 0xBB]

    static func unix(_ source: String, _ destination: String) -> [UInt8] {
        [source, destination].flatMap { Array($0.utf8) + zeros(108 - $0.utf8.count) }
    }

    static func value(_ type: UInt8, _ bytes: [UInt8]) -> [UInt8] {
        [type, UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)] + bytes
    }

    static func zeros(_ count: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: count)
    }

    /// One of each form, with the client's address that it tells.
    static let all: [(header: [UInt8], client: String?)] = [
        ("PROXY TCP4 198.51.100.7 192.0.2.1 50000 443\r\n".bytes, "198.51.100.7:50000"),
        ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n".bytes, "0.0.0.0:0"),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n".bytes,
            "255.255.255.255:65535"
        ),
        ("PROXY TCP6 2001:DB8::7 2001:db8::1 50000 443\r\n".bytes, "[2001:db8::7]:50000"),
        ("PROXY TCP6 :: :: 0 0\r\n".bytes, "[::]:0"),
        ("PROXY TCP6 ::ffff:198.51.100.7 ::1 1 2\r\n".bytes, "[::ffff:198.51.100.7]:1"),
        ("PROXY UNKNOWN\r\n".bytes, nil),
        ("PROXY UNKNOWN what  ever\0\u{FF}it says\r\n".bytes, nil),
        (binary(), "198.51.100.7:50000"),
        (binary(family: 0x21, ipv6), "[2001:db8::7]:50000"),
        (binary(family: 0x31, unix("/run/client", "/run/server")), "/run/client"),
        (binary(family: 0x31, unix("", "/run/server")), ""),
        (binary(family: 0x31, unix("\0game", "/run/server")), "@game"),
        (binary(ipv4 + value(0x01, "h2".bytes) + value(0x04, zeros(9))), "198.51.100.7:50000"),
        (binary(command: 0x20, family: 0x00, []), nil),
        (binary(command: 0x20), nil),
        (binary(command: 0x20, family: 0xF7, [1, 2, 3]), nil),
        (binary(family: 0x00, []), nil),
        (binary(family: 0x00, [1, 2, 3]), nil),
        (binary(family: 0x12), nil),
        (binary(family: 0x10, []), nil),
    ]
}
