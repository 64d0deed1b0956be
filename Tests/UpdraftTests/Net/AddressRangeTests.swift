import Testing
import Updraft

/// Whose headers are believed: `AddressRange`.
@Suite struct AddressRangeTests {
    private func contains(_ range: String, _ host: String) throws -> Bool {
        try AddressRange(range).contains(try SocketAddress(host: host, port: 1))
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.255.255", true), ("10.0.0.0/8", "11.0.0.0", false),
        ("10.0.0.0/8", "9.255.255.255", false), ("0.0.0.0/0", "203.0.113.9", true),
        ("192.0.2.128/25", "192.0.2.128", true), ("192.0.2.128/25", "192.0.2.127", false),
        ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7/32", "192.0.2.6", false),
        ("192.0.2.6/31", "192.0.2.7", true), ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::", false), ("2001:db8::/65", "2001:db8::7fff:0:0:0", true),
        ("2001:db8::/65", "2001:db8::8000:0:0:0", false), ("::1", "::1", true),
        ("::1", "::2", false), ("::2/127", "::3", true), ("2001:db8::/64", "2001:db8::1", true),
        ("2001:db8::/64", "2001:db8:0:1::", false), ("::/0", "2001:db8::1", true),
    ])
    func containsWhatHasItsPrefix(range: String, host: String, expected: Bool) throws {
        #expect(try contains(range, host) == expected)
    }

    @Test func anEmbeddedIPv4AddressIsThatAddress() throws {
        #expect(try contains("10.0.0.0/8", "::ffff:10.1.2.3"))
        #expect(try !contains("10.0.0.0/8", "::ffff:11.1.2.3"))
        #expect(try contains("::ffff:10.0.0.0/104", "10.1.2.3"))
        #expect(try contains("::ffff:0:0/96", "203.0.113.9"))
        #expect(try AddressRange("::ffff:10.0.0.0/104") == AddressRange("10.0.0.0/8"))
    }

    @Test func theOneFamilysRangesDoNotHaveTheOthersAddresses() throws {
        #expect(try !contains("0.0.0.0/0", "::1"))
        #expect(try !contains("::/0", "127.0.0.1"))
        #expect(try !contains("::/0", "::ffff:127.0.0.1"))
    }

    @Test func unixSocketsAreARangeOfTheirOwn() throws {
        let paths = ["", "/run/proxy.sock"].map(SocketAddress.init(unixPath:))
        for path in paths {
            #expect(AddressRange.unix.contains(path))
            #expect(try !AddressRange("0.0.0.0/0").contains(path))
        }
        #expect(try AddressRange("unix") == .unix)
        #expect(try !contains("unix", "127.0.0.1"))
        #expect(try !contains("unix", "::1"))
    }

    @Test(arguments: [
        "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/+8",
        "10.0.0.0/08", "10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.0/8/8", "10.0.0/8", "10.0.0.256",
        "example.org", "fe80::1%lo", "fe80::%lo/64", "010.0.0.0/8", "10.0.0.0/99999999999999999999",
        "unix/8", "Unix", "::ffff:10.0.0.0/129",
    ])
    func whatIsNoRangeIsRefusedWithItsText(text: String) throws {
        let error = #expect(throws: StreamError.self) { try AddressRange(text) }
        #expect(error?.code == .invalidAddress)
        #expect(error?.message.contains("'\(text)'") == true)
    }

    @Test func aZeroByteEndsNothing() {
        for text in ["10.0.0.0/8\0", "10.0.0.0\0/8", "10.0.0.0\0"] {
            let error = #expect(throws: StreamError.self) { try AddressRange(text) }
            #expect(error?.code == .invalidAddress)
        }
    }

    @Test func bitsBeyondThePrefixAreRefusedAndTheNetworkIsNamed() throws {
        let error = #expect(throws: StreamError.self) { try AddressRange("10.1.2.3/8") }
        #expect(error?.message.contains("10.0.0.0/8.") == true)
        let other = #expect(throws: StreamError.self) { try AddressRange("2001:db8::1/32") }
        #expect(other?.message.contains("2001:db8::/32.") == true)
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.0.0.0/8"), ("127.0.0.1", "127.0.0.1/32"), ("::1", "::1/128"),
        ("2001:0DB8::/32", "2001:db8::/32"), ("unix", "unix"), ("::ffff:1.2.3.4", "1.2.3.4/32"),
    ])
    func itsTextIsTheNetwork(text: String, expected: String) throws {
        let range = try AddressRange(text)
        #expect("\(range)" == expected)
        #expect(try AddressRange("\(range)") == range)
    }
}
