import TestSupport
import Testing

@testable import Updraft

/// The PROXY protocol's formats: sections 2.1 and 2.2 of its document.
@Suite struct ProxyProtocolParserTests {
    private func header(_ bytes: [UInt8]) throws -> ProxyProtocol.Header? {
        guard
            case .complete(let header, bytes.count) = try ProxyProtocol.parse(
                bytes, bytesMax: 4_096)
        else { return nil }
        return header
    }

    private func refusal(_ bytes: [UInt8], bytesMax: Int = 4_096) -> String? {
        do {
            _ = try ProxyProtocol.parse(bytes, bytesMax: bytesMax)
            return nil
        } catch {
            return error.code == .invalidProxyHeader ? error.message : nil
        }
    }

    @Test func everyFormTellsTheClientsAddress() throws {
        for (bytes, client) in ProxyHeaders.all {
            let header = try #require(try header(bytes), "\(bytes)")
            #expect(header.source.map { "\($0)" } == client)
            #expect((header.destination == nil) == (client == nil))
        }
    }

    @Test func theDestinationIsTheOneTheClientConnectedTo() throws {
        let line = "PROXY TCP4 198.51.100.7 192.0.2.1 50000 443\r\n".bytes
        for bytes in [line, ProxyHeaders.binary()] {
            #expect(try header(bytes)?.destination?.description == "192.0.2.1:443")
        }
        let ipv6 = ProxyHeaders.binary(family: 0x21, ProxyHeaders.ipv6)
        #expect(try header(ipv6)?.destination?.description == "[2001:db8::1]:443")
        let unix = ProxyHeaders.binary(family: 0x31, ProxyHeaders.unix("/a", "/b"))
        #expect(try header(unix)?.destination?.description == "/b")
        let full = String(repeating: "p", count: 108)
        let long = ProxyHeaders.binary(family: 0x31, ProxyHeaders.unix(full, full))
        #expect(try header(long)?.destination?.description == full)
    }

    @Test func itKnowsItsVersion() throws {
        #expect(try header("PROXY UNKNOWN\r\n".bytes)?.version == .text)
        #expect(try header(ProxyHeaders.binary())?.version == .binary)
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n", "PROXYTCP4", "PROXY  TCP4 1.1",
        "PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n",
        "PROXY TCP4 1.1.1.1  1.1.1.1 1 1\r\n", "PROXY TCP4 01.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n", "PROXY TCP4 256.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 -1 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 +1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 \r\n", "PROXY TCP4 ::1 ::1 1 1\r\n",
        "PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n", "PROXY TCP6 ::1%lo ::1 1 1\r\n",
        "PROXY TCP6 fffff:: ::1 1 1\r\n", "PROXY TCP4 1.1.1.1 ::1 1 1\r\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n\r\n", "PROXY TCP4\r\n", "PROXY \r\n",
        "PROXY UNKNOWNS\r\n",
        "\r\n\r\n\0\r\nQUIP\n",
    ])
    func whatIsNoHeaderIsRefused(text: String) {
        #expect(refusal(text.bytes) != nil)
    }

    /// What is refused by its last byte, which nothing else needs to follow.
    @Test(arguments: [
        "G", "PROXYT", "PROXY X", "PROXY TCP5", "PROXY TCP\n", "PROXY U ", "PROXY UNKNOWN\n",
        "PROXY UNKNOWN\rx", "PROXY UNKNOWN a\n", "PROXY UNKNOWN a\rb", "PROXY UNKNOWN a\r\r",
        "PROXY TCP4 z", "PROXY TCP6 g", "PROXY TCP4 1:", "PROXY TCP4 a", "PROXY TCP4  ",
        "PROXY TCP4 1.1.1.1\n", "PROXY TCP4 1.1.1.1\r", "PROXY TCP4 256.1.1.1 ",
        "PROXY TCP6 ::1::1 ", "PROXY TCP4 1111111111111111", "PROXY TCP4 1.1.1.1 1.1.1.1 1\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1\r", "PROXY TCP4 1.1.1.1 1.1.1.1 a",
        "PROXY TCP4 1.1.1.1 1.1.1.1 01", "PROXY TCP4 1.1.1.1 1.1.1.1 65536",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 ", "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n",
        "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\rx", "\r\n\r\n\0\r\nQUIT\n\u{31}", "\r\r",
    ])
    func aWrongByteIsRefusedWhenItComes(text: String) {
        #expect(refusal(text.bytes) != nil)
        #expect(refusal(Array(text.bytes.dropLast())) == nil)
    }

    @Test func aRefusalSaysWhatIsWrong() {
        let reasons = [
            ("GET /", "it begins as neither version does"),
            ("\r\n\rX", "it begins as neither version does"),
            ("PROXY UNKNOWN\n", "its line ends without a carriage return"),
            ("PROXY UNKNOWN\rx", "its carriage return has no newline behind it"),
            ("PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n", "its line has 5 fields instead of 6"),
        ]
        for (text, reason) in reasons {
            #expect(refusal(text.bytes)?.hasSuffix(": \(reason).") == true, "\(text)")
        }
        let version = refusal(ProxyHeaders.binary(command: 0x31))
        #expect(version?.hasSuffix("it is of the unknown version 3.") == true)
        let kind = refusal(ProxyHeaders.binary(family: 0x1F))
        #expect(kind?.hasSuffix("it has the unknown family and protocol 0x1F.") == true)
        let low = refusal(ProxyHeaders.binary(family: 0x04))
        #expect(low?.hasSuffix("it has the unknown family and protocol 0x04.") == true)
    }

    @Test func aLineEndsWithin107Bytes() throws {
        let longest = "PROXY UNKNOWN " + String(repeating: "x", count: 91) + "\r\n"
        #expect(try header(longest.bytes) != nil)
        let longer = "PROXY UNKNOWN " + String(repeating: "x", count: 92) + "\r\n"
        #expect(refusal(longer.bytes)?.contains("107 bytes") == true)
    }

    @Test(
        arguments: [
            // The version, the command, the family, the kind of socket.
            [0x11, 0x11], [0x31, 0x11], [0x22, 0x11], [0x2F, 0x11], [0x21, 0x41], [0x21, 0x13],
            [0x21, 0xF0], [0x21, 0x0F],
        ] as [[UInt8]])
    func aBinaryHeaderOfAnotherKindIsRefused(kind: [UInt8]) {
        #expect(refusal(ProxyHeaders.binary(command: kind[0], family: kind[1])) != nil)
    }

    @Test func aBlockTooShortForItsAddressesIsRefusedBeforeItIsThere() {
        for (family, size) in [(0x11, 11), (0x21, 35), (0x31, 215)] as [(UInt8, Int)] {
            let bytes = ProxyHeaders.binary(family: family, ProxyHeaders.zeros(size))
            #expect(refusal(bytes)?.contains("too short") == true)
            #expect(refusal(Array(bytes.prefix(16)))?.contains("too short") == true)
        }
    }

    @Test func theLengthIsLimitedBeforeTheBlockIsThere() {
        let bytes = Array(ProxyHeaders.binary(ProxyHeaders.zeros(4_081)).prefix(16))
        #expect(refusal(bytes)?.contains("4097 bytes; the limit is 4096") == true)
        #expect(refusal(bytes, bytesMax: 4_097) == nil)
    }

    @Test func additionalValuesAreHandedOnWithoutPadding() throws {
        let block =
            ProxyHeaders.ipv4 + ProxyHeaders.value(0x02, "example.org".bytes)
            + ProxyHeaders.value(0x04, ProxyHeaders.zeros(300)) + ProxyHeaders.value(0xEA, [])
        let header = try #require(try header(ProxyHeaders.binary(block)))
        #expect(header.values.map(\.type) == [0x02, 0xEA])
        #expect(header.value(ProxyProtocol.Value.authority) == "example.org".bytes)
        #expect(header.value(0xEA) == [])
        #expect(header.value(ProxyProtocol.Value.uniqueID) == nil)
    }

    @Test func aValueThatIsCutOffIsRefused() {
        for tail in [[0x02], [0x02, 0], [0x02, 0, 1], [0x02, 0xFF, 0xFF, 1]] as [[UInt8]] {
            let bytes = ProxyHeaders.binary(ProxyHeaders.ipv4 + tail)
            #expect(refusal(bytes)?.contains("cut off") == true)
        }
    }

    @Test func theChecksumIsCastagnolis() {
        // The check value of CRC-32C in the catalogues.
        #expect(ProxyProtocol.crc32c("123456789".bytes) == 0xE306_9283)
    }

    @Test(arguments: [0x21, 0x20] as [UInt8])
    func aWrongChecksumIsRefused(command: UInt8) throws {
        let end = ProxyHeaders.value(0x05, "id".bytes)
        let block = ProxyHeaders.ipv4 + ProxyHeaders.value(0x03, ProxyHeaders.zeros(4)) + end
        var bytes = ProxyHeaders.binary(command: command, block)
        #expect(refusal(bytes)?.contains("checksum") == true)
        let checksum = ProxyProtocol.crc32c(bytes)
        let place = 16 + ProxyHeaders.ipv4.count + 3
        for index in 0..<4 {
            bytes[place + index] = UInt8(truncatingIfNeeded: checksum >> (24 - 8 * index))
        }
        #expect(try header(bytes)?.value(ProxyProtocol.Value.uniqueID) == "id".bytes)
        // Every byte behind the fixed part counts, the addresses and the last one too.
        for index in 16..<bytes.count where !(place..<(place + 4) ~= index) {
            var damaged = bytes
            damaged[index] ^= 0x10
            // Without the value there is nothing to check.
            let found = try? header(damaged)
            #expect(found?.value(0x03) == nil, "byte \(index)")
        }
    }

    @Test func aChecksumOfAnotherSizeOrASecondOneIsRefused() {
        let one = ProxyHeaders.value(0x03, ProxyHeaders.zeros(4))
        let reasons = [
            (ProxyHeaders.value(0x03, [0]), "its checksum has 1 bytes instead of 4"),
            (one + one, "it has two checksums"),
        ]
        for (tail, reason) in reasons {
            let bytes = ProxyHeaders.binary(ProxyHeaders.ipv4 + tail)
            #expect(refusal(bytes)?.hasSuffix(": \(reason).") == true)
        }
    }
}
