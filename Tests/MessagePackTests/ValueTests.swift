import MessagePack
import Testing

struct ValueTests {
    @Test func equalIntegersAreEqualAndHashAlike() {
        #expect(MessagePackValue.int(5) == .uint(5))
        #expect(MessagePackValue.uint(5) == .int(5))
        #expect(Set([MessagePackValue.int(5), .uint(5), .int(-5)]).count == 2)
        #expect(MessagePackValue.int(-1) != .uint(.max))
        #expect(MessagePackValue.float(1) != .double(1))
        #expect(MessagePackValue.int(1) != .double(1))
        #expect(MessagePackValue.string("a") != .binary([0x61]))
    }

    @Test func literalsAndAccessorsAgree() {
        let value: MessagePackValue = [
            "name": "ann", "scores": [3, 5], "ratio": 0.5, "on": true, "none": nil, 7: "seven",
        ]
        #expect(value["name"]?.stringValue == "ann")
        #expect(value["scores"]?[1]?.intValue == 5)
        #expect(value["scores"]?[2] == nil)
        #expect(value["ratio"]?.doubleValue == 0.5)
        #expect(value["on"]?.boolValue == true)
        #expect(value["none"]?.isNil == true)
        #expect(value["absent"] == nil)
        #expect(value[key: 7] == "seven")
        #expect(value.mapValue?.count == 6)
        #expect(MessagePackValue.uint(.max).intValue == nil)
        #expect(MessagePackValue.uint(.max).uint64Value == .max)
        #expect(MessagePackValue.binary([0x61]).stringValue == "a")
        #expect(MessagePackValue.binary([0xff]).stringValue == nil)
    }

    @Test func aMapKeepsItsOrderItsDuplicatesAndKeysOfAnyType() throws {
        let bytes: [UInt8] = [0x84, 0xa1, 0x62, 1, 0xa1, 0x61, 2, 0xa1, 0x62, 3, 0x90, 4]
        let value = try MessagePackValue(messagePackBytes: bytes)
        #expect(value.description == #"{"b": 1, "a": 2, "b": 3, []: 4}"#)
        #expect(value["b"] == 3)
        #expect(try value.messagePackBytes() == bytes)
    }

    @Test func anUnknownExtensionSurvives() throws {
        let bytes: [UInt8] = [0xc7, 3, 0x80, 1, 2, 255]
        let value = try MessagePackValue(messagePackBytes: bytes)
        #expect(value == .ext(type: -128, bytes: [1, 2, 255]))
        #expect(value.description == "ext(-128, h'0102ff')")
        #expect(try value.messagePackBytes() == bytes)
    }

    @Test func integersAboveTheSignedRangeAreUnsigned() throws {
        let bytes: [UInt8] = [0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0]
        guard case .uint(let value) = try MessagePackValue(messagePackBytes: bytes) else {
            Issue.record("expected an unsigned value")
            return
        }
        #expect(value == 1 << 63)
    }
}
