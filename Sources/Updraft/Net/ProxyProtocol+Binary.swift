// Version 2: section 2.2.
extension ProxyProtocol {
    static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]

    /// The part before the addresses.
    private static let fixedBytes = 16

    /// The address families, and what their addresses take.
    private enum Family: UInt8 {
        case unspecified, ipv4, ipv6, unix

        var bytes: Int {
            switch self {
            case .unspecified: 0
            case .ipv4: 2 * (4 + 2)
            case .ipv6: 2 * (16 + 2)
            case .unix: 2 * Family.pathBytes
            }
        }

        static let pathBytes = 108
    }

    /// What the fixed part says.
    private struct Opening {
        /// Nil for one that the format doesn't have, which only a LOCAL header may name.
        let family: Family?
        /// Whether the addresses are those of a relayed stream.
        let hasAddresses: Bool
        let length: Int
    }

    /// Looks at bytes that begin as a header of version 2 does.
    static func parseBinary(_ bytes: [UInt8], bytesMax: Int) throws(StreamError) -> Progress {
        guard bytes.starts(with: signature.prefix(bytes.count)) else {
            throw invalid(strangeBeginning)
        }
        if bytes.count > 12 { try checkCommand(bytes[12]) }
        guard bytes.count >= fixedBytes else { return .incomplete(fixedBytes - bytes.count) }
        let opening = try opening(bytes)
        guard opening.length <= bytesMax else {
            throw invalid("it has \(opening.length) bytes; the limit is \(bytesMax)")
        }
        guard bytes.count >= opening.length else {
            return .incomplete(opening.length - bytes.count)
        }
        let header = try header(bytes[..<opening.length], opening)
        return .complete(header, length: opening.length)
    }

    private static func checkCommand(_ byte: UInt8) throws(StreamError) {
        guard byte >> 4 == 2 else { throw invalid("it is of the unknown version \(byte >> 4)") }
        guard byte & 0xF <= 1 else { throw invalid("it has the unknown command \(byte & 0xF)") }
    }

    private static func opening(_ bytes: [UInt8]) throws(StreamError) -> Opening {
        let isRelayed = bytes[12] & 0xF == 1
        let (family, kind) = (Family(rawValue: bytes[13] >> 4), bytes[13] & 0xF)
        let length = fixedBytes + Int(bytes[14]) << 8 + Int(bytes[15])
        // A LOCAL header's family means nothing.
        guard isRelayed else { return Opening(family: family, hasAddresses: false, length: length) }
        guard let family, kind <= 2 else {
            let code = String(bytes[13], radix: 16, uppercase: true)
            throw invalid(
                "it has the unknown family and protocol 0x\(code.count == 1 ? "0" : "")\(code)")
        }
        // Not a stream's: those that are unknown, and those of datagrams, which no stream carries.
        guard kind == 1, family != .unspecified else {
            return Opening(family: family, hasAddresses: false, length: length)
        }
        guard length >= fixedBytes + family.bytes else {
            throw invalid("it is too short for its addresses")
        }
        return Opening(family: family, hasAddresses: true, length: length)
    }

    private static func header(
        _ bytes: ArraySlice<UInt8>, _ opening: Opening
    ) throws(StreamError) -> Header {
        let values = try values(bytes, opening)
        guard opening.hasAddresses, let family = opening.family else {
            return Header(version: .binary, source: nil, destination: nil, values: values)
        }
        let block = Array(bytes[fixedBytes...].prefix(family.bytes))
        return Header(
            version: .binary, source: address(0, in: block, family),
            destination: address(1, in: block, family), values: values)
    }

    /// The source is number 0, the destination number 1: first both hosts, then both ports.
    private static func address(
        _ number: Int, in block: [UInt8], _ family: Family
    ) -> SocketAddress? {
        let size: Int
        switch family {
        case .unspecified: return nil
        case .unix:
            let path = block[(number * Family.pathBytes)...].prefix(Family.pathBytes)
            return unixAddress(path)
        case .ipv4: size = 4
        case .ipv6: size = 16
        }
        let port = block[(2 * size + 2 * number)...].prefix(2).reduce(0) { $0 << 8 | UInt16($1) }
        return SocketAddress(addressBytes: block[(number * size)...].prefix(size), port: port)
    }

    /// A path up to its first zero byte, or a zero byte and then an abstract name.
    private static func unixAddress(_ path: ArraySlice<UInt8>) -> SocketAddress {
        let file = path.prefix { $0 != 0 }
        let name = path.dropFirst().prefix { $0 != 0 }
        guard file.isEmpty, !name.isEmpty else {
            return SocketAddress(unixPath: String(decoding: file, as: UTF8.self))
        }
        return SocketAddress(abstractName: String(decoding: name, as: UTF8.self))
    }

    // MARK: Additional values

    /// The values behind the addresses, checked against the checksum if it is among them.
    private static func values(
        _ bytes: ArraySlice<UInt8>, _ opening: Opening
    ) throws(StreamError) -> [Value] {
        guard let family = opening.family, bytes.count >= fixedBytes + family.bytes else {
            return []
        }
        var values: [Value] = []
        var rest = bytes.dropFirst(fixedBytes + family.bytes)
        var checksumPlace: Int?
        while !rest.isEmpty {
            let head = Array(rest.prefix(3))
            let size = head.count == 3 ? Int(head[1]) << 8 + Int(head[2]) : Int.max
            guard size <= rest.count - 3 else {
                // Where the addresses mean nothing, nobody knows how long they are.
                guard opening.hasAddresses else { return [] }
                throw invalid("one of its values is cut off")
            }
            let value = Value(type: head[0], bytes: Array(rest.dropFirst(3).prefix(size)))
            if value.type == Value.crc32c {
                guard checksumPlace == nil else { throw invalid("it has two checksums") }
                guard size == 4 else {
                    throw invalid("its checksum has \(size) bytes instead of 4")
                }
                checksumPlace = rest.startIndex + 3
            }
            if value.type != Value.padding { values.append(value) }
            rest = rest.dropFirst(3 + size)
        }
        if let checksumPlace { try verify(bytes, checksumPlace) }
        return values
    }

    /// Section 2.2.3: the checksum is that of the header with zeros in its place.
    private static func verify(
        _ bytes: ArraySlice<UInt8>, _ place: Int
    ) throws(StreamError) {
        let stated = bytes[place..<(place + 4)].reduce(0) { $0 << 8 | UInt32($1) }
        var zeroed = Array(bytes)
        for index in place..<(place + 4) { zeroed[index] = 0 }
        guard crc32c(zeroed) == stated else { throw invalid("its checksum is wrong") }
    }

    /// The Castagnoli CRC, bit by bit: a header is short, and few have a checksum.
    static func crc32c(_ bytes: [UInt8]) -> UInt32 {
        var remainder = UInt32.max
        for byte in bytes {
            remainder ^= UInt32(byte)
            for _ in 0..<8 {
                remainder = remainder >> 1 ^ (remainder & 1 == 0 ? 0 : 0x82F6_3B78)
            }
        }
        return ~remainder
    }
}
