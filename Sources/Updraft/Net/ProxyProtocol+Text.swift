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

    /// What a line tells of.
    private enum Relayed: String, CaseIterable {
        case ipv4 = "TCP4"
        case ipv6 = "TCP6"
        case unknown = "UNKNOWN"
    }

    /// The fields behind `PROXY`, as far as they came.
    private struct Line {
        let fields: [ArraySlice<UInt8>]
        /// Whether the last field is whole: the end of the line has begun.
        let isEnding: Bool

        func isWhole(_ number: Int) -> Bool { isEnding || number < fields.count - 1 }
    }

    /// Looks at a line of text that begins with something else than version 2 does.
    ///
    /// A byte that can never stand there is refused when it comes, a field that says nothing valid
    /// when it ends.
    static func parseText(_ bytes: [UInt8]) throws(StreamError) -> Progress {
        guard bytes.starts(with: opening.prefix(bytes.count)) else {
            throw invalid(strangeBeginning)
        }
        guard bytes.count > opening.count else { return .incomplete(textBytesMin - bytes.count) }
        let end = try lineEnd(bytes)
        let fields = bytes[opening.count..<(end ?? bytes.count)].split(
            separator: space, omittingEmptySubsequences: false)
        let line = Line(fields: fields, isEnding: end != nil)
        let header = try header(line)
        if let end, let header, end + 1 < bytes.count {
            return .complete(header, length: end + 2)
        }
        let missing = missingBytes(line)
        guard bytes.count + missing <= textBytesMax else { throw overlong }
        return .incomplete(missing)
    }

    /// Where the carriage return is that ends the line; nil if it is yet to come.
    private static func lineEnd(_ bytes: [UInt8]) throws(StreamError) -> Int? {
        let line = bytes.prefix(textBytesMax)
        guard let end = line.firstIndex(where: { $0 == carriageReturn || $0 == newline }) else {
            if line.count == textBytesMax { throw overlong }
            return nil
        }
        guard bytes[end] == carriageReturn else {
            throw invalid("its line ends without a carriage return")
        }
        guard end + 1 < bytes.count else { return end }
        guard bytes[end + 1] == newline else {
            throw invalid("its carriage return has no newline behind it")
        }
        guard end + 2 <= textBytesMax else { throw overlong }
        return end
    }

    private static var overlong: StreamError {
        invalid("its line does not end within \(textBytesMax) bytes")
    }

    /// How many bytes are yet to come at the least, so that none behind the line is taken too.
    private static func missingBytes(_ line: Line) -> Int {
        guard !line.isEnding else { return 1 }
        guard let name = line.fields.first, line.isWhole(0) else {
            return textBytesMin - opening.count - (line.fields.first?.count ?? 0)
        }
        if name.elementsEqual(Relayed.unknown.rawValue.utf8) { return 2 }
        let isIPv6 = name.elementsEqual(Relayed.ipv6.rawValue.utf8)
        let address = isIPv6 ? "::".utf8.count : "0.0.0.0".utf8.count
        let least = [0, address, address, 1, 1]
        let current = line.fields.count - 1
        let later = least[(current + 1)...].reduce(0) { $0 + 1 + $1 }
        return max(0, least[current] - line.fields[current].count) + later + 2
    }

    // MARK: Fields

    /// The header, if all of its fields are whole.
    private static func header(_ line: Line) throws(StreamError) -> Header? {
        let name = line.fields[0]
        guard line.isWhole(0) else {
            guard Relayed.allCases.contains(where: { $0.rawValue.utf8.starts(with: name) }) else {
                throw unknownName
            }
            return nil
        }
        switch Relayed(rawValue: String(decoding: name, as: UTF8.self)) {
        case .ipv4: return try header(line, isIPv6: false)
        case .ipv6: return try header(line, isIPv6: true)
        // Whatever else stands in that line has to be ignored.
        case .unknown: return Header(version: .text, source: nil, destination: nil, values: [])
        case nil: throw unknownName
        }
    }

    private static var unknownName: StreamError {
        invalid("its protocol is none of TCP4, TCP6 and UNKNOWN")
    }

    /// Two addresses and then two ports.
    private static func header(_ line: Line, isIPv6: Bool) throws(StreamError) -> Header? {
        guard line.fields.count <= 5 else { throw invalid("its line has too many fields") }
        var hosts: [SocketAddress] = []
        var ports: [UInt16] = []
        for (number, field) in line.fields.enumerated().dropFirst() {
            switch (number <= 2, line.isWhole(number)) {
            case (true, true): hosts.append(try host(field, isIPv6))
            case (true, false): try checkBeginning(ofHost: field, isIPv6)
            case (false, true): ports.append(try port(field))
            case (false, false): try checkBeginning(ofPort: field)
            }
        }
        guard line.isEnding else { return nil }
        guard hosts.count == 2, ports.count == 2 else {
            throw invalid("its line has \(line.fields.count + 1) fields instead of 6")
        }
        return Header(
            version: .text, source: hosts[0].with(port: ports[0]),
            destination: hosts[1].with(port: ports[1]), values: [])
    }

    private static func host(
        _ field: ArraySlice<UInt8>, _ isIPv6: Bool
    ) throws(StreamError) -> SocketAddress {
        // The system's reader of addresses may know more forms than the format does.
        try checkBeginning(ofHost: field, isIPv6)
        let text = String(decoding: field, as: UTF8.self)
        guard let address = try? SocketAddress(host: text, port: 0), address.isIPv6 == isIPv6
        else { throw invalidHost(isIPv6) }
        return address
    }

    private static func checkBeginning(
        ofHost field: ArraySlice<UInt8>, _ isIPv6: Bool
    ) throws(StreamError) {
        // 255.255.255.255, and an IPv6 address that ends as one.
        guard field.count <= (isIPv6 ? 45 : 15),
            field.allSatisfy({ isPartOfAddress($0, isIPv6) })
        else { throw invalidHost(isIPv6) }
    }

    private static func isPartOfAddress(_ byte: UInt8, _ isIPv6: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."): true
        case UInt8(ascii: ":"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            isIPv6
        default: false
        }
    }

    private static func invalidHost(_ isIPv6: Bool) -> StreamError {
        invalid("an address is no numeric IPv\(isIPv6 ? 6 : 4) address")
    }

    private static func port(_ field: ArraySlice<UInt8>) throws(StreamError) -> UInt16 {
        let text = Substring(decoding: field, as: UTF8.self)
        guard let port = decimal(text, max: 65_535) else { throw invalidPort }
        return UInt16(port)
    }

    private static func checkBeginning(ofPort field: ArraySlice<UInt8>) throws(StreamError) {
        guard !field.isEmpty else { return }
        _ = try port(field)
    }

    private static var invalidPort: StreamError {
        invalid("a port is no number between 0 and 65535")
    }
}
