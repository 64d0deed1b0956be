// Version 1: section 2.1.
extension ProxyProtocol {
    /// `PROXY UNKNOWN` and the line's end.
    static let textBytesMin = 15
    /// The line's end included.
    static let textBytesMax = 107

    private static let opening = Array("PROXY ".utf8)
    private static let space = UInt8(ascii: " ")
    private static let carriageReturn = UInt8(ascii: "\r")
    private static let newline = UInt8(ascii: "\n")

    /// Looks at a line of text that begins with something else than version 2 does.
    static func parseText(_ bytes: [UInt8]) throws(StreamError) -> Progress {
        guard bytes.starts(with: opening.prefix(bytes.count)) else {
            throw invalid("it begins with something else")
        }
        if let length = lineLength(bytes) {
            let fields = bytes[..<(length - 2)].split(
                separator: space, omittingEmptySubsequences: false)
            return .complete(try header(fields), length: length)
        }
        let missing = try missingBytes(bytes)
        guard bytes.count + missing <= textBytesMax else {
            throw invalid("its line does not end within \(textBytesMax) bytes")
        }
        return .incomplete(missing)
    }

    /// The line's length with its end; nil if the end is not there yet.
    private static func lineLength(_ bytes: [UInt8]) -> Int? {
        let line = bytes.prefix(textBytesMax)
        for index in line.indices.dropFirst()
        where line[index] == newline && line[index - 1] == carriageReturn {
            return index + 1
        }
        return nil
    }

    /// How many bytes are yet to come at the least, so that none behind the line is taken too.
    private static func missingBytes(_ bytes: [UInt8]) throws(StreamError) -> Int {
        guard bytes.count >= textBytesMin else { return textBytesMin - bytes.count }
        let end = bytes.last == carriageReturn ? 1 : 2
        let fields = bytes.split(separator: space, omittingEmptySubsequences: false)
        guard fields.count > 2 else { throw unknownName }
        if fields[1].elementsEqual("UNKNOWN".utf8) { return end }
        guard let address = shortestAddress(fields[1]) else { throw unknownName }
        // What follows the two words: two addresses and two ports.
        let least = [0, 0, address, address, 1, 1]
        guard fields.count <= least.count else { throw invalid("its line has too many fields") }
        guard end == 2 else { return end }
        let current = fields.count - 1
        let later = least[(current + 1)...].reduce(0) { $0 + 1 + $1 }
        return max(0, least[current] - fields[current].count) + later + end
    }

    private static func shortestAddress(_ name: ArraySlice<UInt8>) -> Int? {
        if name.elementsEqual("TCP4".utf8) { return "0.0.0.0".utf8.count }
        return name.elementsEqual("TCP6".utf8) ? "::".utf8.count : nil
    }

    private static var unknownName: StreamError {
        invalid("its protocol is none of TCP4, TCP6 and UNKNOWN")
    }

    private static func header(_ fields: [ArraySlice<UInt8>]) throws(StreamError) -> Header {
        let texts = fields.map { Substring(decoding: $0, as: UTF8.self) }
        // Whatever else stands in that line has to be ignored.
        if texts[1] == "UNKNOWN" {
            return Header(version: .text, source: nil, destination: nil, values: [])
        }
        guard texts[1] == "TCP4" || texts[1] == "TCP6" else { throw unknownName }
        guard texts.count == 6 else {
            throw invalid("its line has \(texts.count) fields instead of 6")
        }
        let isIPv6 = texts[1] == "TCP6"
        return Header(
            version: .text, source: try address(texts[2], port: texts[4], isIPv6),
            destination: try address(texts[3], port: texts[5], isIPv6), values: [])
    }

    private static func address(
        _ host: Substring, port: Substring, _ isIPv6: Bool
    ) throws(StreamError) -> SocketAddress {
        guard let port = decimal(port, max: 65_535) else {
            throw invalid("a port is no number between 0 and 65535")
        }
        // No scope: the system's reader of addresses may know more forms than the format does.
        guard host.utf8.allSatisfy({ isPartOfAddress($0) }),
            let address = try? SocketAddress(host: String(host), port: port),
            address.isIPv6 == isIPv6
        else { throw invalid("an address is no numeric IPv\(isIPv6 ? 6 : 4) address") }
        return address
    }

    private static func isPartOfAddress(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: ":"), UInt8(ascii: "."),
            UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default:
            false
        }
    }
}
