import MessagePack
import Testing

@testable import UpdraftCommandCore

@Suite struct JSONTests {
    private func written(_ value: MessagePackValue) -> String { JSONWriter.text(of: value) }

    @Test(
        arguments: [
            ("null", .nil), ("true", .bool(true)), ("false", .bool(false)), ("0", .int(0)),
            ("-9223372036854775808", .int(.min)), ("9223372036854775807", .int(.max)),
            ("18446744073709551615", .uint(.max)), ("1.0", .double(1)), ("-0.0", .double(-0.0)),
            ("2.5e-07", .double(2.5e-7)), ("\"\"", .string("")), ("\"ä💚\"", .string("ä💚")),
            (#""\"\\\n\r\t\u001b\u007f""#, .string("\"\\\n\r\t\u{1B}\u{7F}")),
            ("[]", .array([])), ("{}", .map([])), ("[1,[2]]", [1, [2]]),
            (#"{"b":1,"a":{"c":null}}"#, ["b": 1, "a": ["c": nil]]),
            (#"{"$binary":"AQID"}"#, .binary([1, 2, 3])), (#"{"$binary":""}"#, .binary([])),
            (#"{"$ext":[-1,"/w=="]}"#, .ext(type: -1, bytes: [255])),
            (#"{"$float":"inf"}"#, .double(.infinity)),
            (#"{"$float":"-inf"}"#, .double(-.infinity)),
            (#"{"$map":[[1,"one"],["a",null]]}"#, .map([.init(1, "one"), .init("a", .nil)])),
            (#"{"$map":[["a",1],["a",2]]}"#, .map([.init("a", 1), .init("a", 2)])),
            (#"{"$map":[["$binary",1]]}"#, .map([.init("$binary", 1)])),
            (#"{"$binary":"","x":1}"#, .map([.init("$binary", ""), .init("x", 1)])),
            (#"{"$other":1}"#, .map([.init("$other", 1)])),
        ] as [(String, MessagePackValue)])
    func everyValueHasOneTextInBothDirections(_ text: String, _ value: MessagePackValue) throws {
        #expect(written(value) == text)
        #expect(try JSONReader.value(of: text) == value)
    }

    @Test func notANumberGoesThereAndBack() throws {
        #expect(written(.double(.nan)) == #"{"$float":"nan"}"#)
        guard case .double(let number) = try JSONReader.value(of: #"{"$float": "nan"}"#) else {
            return #expect(Bool(false), "it is a double")
        }
        #expect(number.isNaN)
        #expect(written(.float(-.infinity)) == #"{"$float":"-inf"}"#)
        #expect(written(.float(0.1)) == "0.1")
    }

    @Test(
        arguments: [
            (" [ 1 ,\t2\r\n] ", [1, 2]), ("1e2", .double(100)), ("1E+2", .double(100)),
            ("-0", .int(0)), (#""\u00e4\ud83d\udc9a\/\b\f""#, "ä💚/\u{8}\u{C}"),
            (#"{"a":1,"a":2}"#, .map([.init("a", 1), .init("a", 2)])),
        ] as [(String, MessagePackValue)])
    func otherSpellingsAreRead(_ text: String, _ value: MessagePackValue) throws {
        #expect(try JSONReader.value(of: text) == value)
    }

    @Test(arguments: [
        "", " ", "text", "{", "[", "[1", "[1,", "[1,]", "[1 2]", "{\"a\"", "{\"a\":", "{\"a\":1,}",
        "{a:1}", "{1:2}", "nul", "nullx", "tru", "01", "-", "+1", ".5", "1.", "1e", "0x10", "1 2",
        "NaN", "Infinity", "'a'", "\"", "\"a", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u+123\"",
        "\"\\ud83d\"", "\"\\ud83d\\n\"", "\"\\udc9a\"", "\"\n\"", "--nope",
    ])
    func whatIsNotJSONIsRefused(_ text: String) {
        let error = #expect(throws: JSONError.self) { try JSONReader.value(of: text) }
        #expect(error?.code == .malformed)
    }

    @Test(arguments: ["18446744073709551616", "-9223372036854775809", "1e400"])
    func aNumberThatWouldBeRoundedAwayIsRefused(_ text: String) {
        let error = #expect(throws: JSONError.self) { try JSONReader.value(of: text) }
        #expect(error?.code == .outOfRange && error?.message.contains(text) == true)
    }

    @Test func nestingOf65IsRefusedAnd64IsRead() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try JSONReader.value(of: nested(64))
        let error = #expect(throws: JSONError.self) { try JSONReader.value(of: nested(65)) }
        #expect(error?.code == .nestingTooDeep)
        #expect(throws: JSONError.self) {
            try JSONReader.value(of: String(repeating: "[", count: 1_000_000))
        }
    }

    @Test(arguments: [
        #"{"$binary": 1}"#, #"{"$binary": "A"}"#, #"{"$binary": "AQ=A"}"#, #"{"$binary": "A==="}"#,
        #"{"$binary": "AR=="}"#, #"{"$binary": "AQ==AQ=="}"#, #"{"$ext": [128, ""]}"#,
        #"{"$ext": [1]}"#, #"{"$float": 1}"#, #"{"$float": "big"}"#, #"{"$map": [[1]]}"#,
        #"{"$map": {}}"#,
    ])
    func aSpecialObjectWithWrongContentsIsRefused(_ text: String) {
        let error = #expect(throws: JSONError.self) { try JSONReader.value(of: text) }
        #expect(error?.code == .invalidSpecial)
    }

    @Test func everyLengthOfBinaryDataGoesThereAndBack() throws {
        for count in 0..<20 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 151) }
            #expect(Base64.bytes(of: Base64.text(of: bytes)) == bytes)
        }
    }

    @Test func prettyTextIsIndentedAndTheSameValue() throws {
        let value: MessagePackValue = ["a": [1, [:]], "b": .binary([1]), "c": []]
        let text = JSONWriter.text(of: value, pretty: true)
        let expected = """
            {
              "a": [
                1,
                {}
              ],
              "b": {"$binary": "AQ=="},
              "c": []
            }
            """
        #expect(text == expected)
        #expect(try JSONReader.value(of: text) == value)
    }
}

@Suite struct EndpointTests {
    @Test func anEndpointIsAHostAndAPort() {
        #expect(Endpoint("127.0.0.1:5700")?.host == "127.0.0.1")
        #expect(Endpoint("localhost:1")?.port == 1)
        #expect(Endpoint("[::1]:5700")?.host == "::1")
        #expect(Endpoint("[::1]:5700")?.description == "[::1]:5700")
    }

    @Test(arguments: [
        "", ":", "nowhere", "127.0.0.1", ":5700", "a:", "a:x", "a:0", "a:65536", "a:+5", "a:-5",
        "::1:5700", "[::1]", "[]:1", "a:99999999999999999999",
    ])
    func whatIsNoEndpointIsRefused(_ text: String) {
        #expect(Endpoint(text) == nil)
    }
}
