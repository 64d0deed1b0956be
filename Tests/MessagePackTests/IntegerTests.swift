import MessagePack
import Testing

struct IntegerTests {
    static let vectors: [(Int64, [UInt8])] = [
        (0, [0x00]), (1, [0x01]), (127, [0x7f]),
        (128, [0xcc, 0x80]), (255, [0xcc, 0xff]),
        (256, [0xcd, 0x01, 0x00]), (65535, [0xcd, 0xff, 0xff]),
        (65536, [0xce, 0, 1, 0, 0]), (4_294_967_295, [0xce, 0xff, 0xff, 0xff, 0xff]),
        (4_294_967_296, [0xcf, 0, 0, 0, 1, 0, 0, 0, 0]),
        (.max, [0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (-1, [0xff]), (-32, [0xe0]), (-33, [0xd0, 0xdf]), (-128, [0xd0, 0x80]),
        (-129, [0xd1, 0xff, 0x7f]), (-32768, [0xd1, 0x80, 0x00]),
        (-32769, [0xd2, 0xff, 0xff, 0x7f, 0xff]), (-2_147_483_648, [0xd2, 0x80, 0, 0, 0]),
        (-2_147_483_649, [0xd3, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]),
        (.min, [0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]),
    ]

    @Test(arguments: vectors)
    func integersTakeTheShortestFormat(value: Int64, bytes: [UInt8]) throws {
        #expect(written { $0.write(value) } == bytes)
        #expect(written { $0.write(Int(value)) } == bytes)
        #expect(written { $0.write(Int128(value)) } == bytes)
        #expect(try value.messagePackBytes() == bytes)
        if value >= 0 { #expect(written { $0.write(UInt64(value)) } == bytes) }
    }

    @Test(arguments: vectors)
    func integersAreReadFromTheirShortestFormat(value: Int64, bytes: [UInt8]) throws {
        #expect(try read(bytes) { try $0.readInt() } == Int(value))
        #expect(try read(bytes) { try $0.read(Int64.self) } == value)
        #expect(try read(bytes) { try $0.read(Int128.self) } == Int128(value))
        #expect(try read(bytes) { try $0.readDouble() } == Double(value))
        #expect(try Int64(messagePackBytes: bytes) == value)
        if value >= 0 { #expect(try read(bytes) { try $0.readUInt64() } == UInt64(value)) }
    }

    @Test func everyFormatOfFiveIsRead() throws {
        let formats: [[UInt8]] = [
            [5], [0xcc, 5], [0xcd, 0, 5], [0xce, 0, 0, 0, 5], [0xcf, 0, 0, 0, 0, 0, 0, 0, 5],
            [0xd0, 5], [0xd1, 0, 5], [0xd2, 0, 0, 0, 5], [0xd3, 0, 0, 0, 0, 0, 0, 0, 5],
        ]
        for bytes in formats {
            #expect(try read(bytes) { try $0.readInt() } == 5)
            #expect(try read(bytes) { try $0.read(UInt8.self) } == 5)
            #expect(try MessagePackValue(messagePackBytes: bytes) == 5)
        }
    }

    @Test func theLargestUnsignedIntegerFitsOnlyInUInt64() throws {
        let bytes: [UInt8] = [0xcf] + [UInt8](repeating: 0xff, count: 8)
        #expect(written { $0.write(UInt64.max) } == bytes)
        #expect(try read(bytes) { try $0.readUInt64() } == .max)
        #expect(code { _ = try read(bytes) { try $0.readInt() } } == .outOfRange)
        #expect(code { _ = try read(bytes) { try $0.read(Int64.self) } } == .outOfRange)
        #expect(try MessagePackValue(messagePackBytes: bytes) == .uint(.max))
    }

    @Test func anIntegerOutOfRangeIsRefusedAndNotConsumed() throws {
        let bytes: [UInt8] = [0xcd, 0x01, 0x00, 0xff]
        try MessagePackReader.withReader(of: bytes) { (reader) throws in
            #expect(code { _ = try reader.read(UInt8.self) } == .outOfRange)
            #expect(reader.position == 0)
            #expect(try reader.read(Int16.self) == 256)
            #expect(code { _ = try reader.readUInt64() } == .outOfRange)
            #expect(try reader.read(Int8.self) == -1)
        }
    }

    @Test func theErrorNamesTheValueAndTheType() {
        let bytes: [UInt8] = [0xcd, 0x01, 0x00]
        #expect {
            _ = try read(bytes) { try $0.read(UInt8.self) }
        } throws: { "\($0)" == "outOfRange: 256 does not fit in UInt8" }
        #expect {
            _ = try read([0xa1, 0x61]) { try $0.readInt() }
        } throws: { "\($0)" == "typeMismatch: expected an integer, found a string at byte 0" }
    }

    @Test func aFloatIsNoInteger() {
        let bytes = written { $0.write(1.0) }
        #expect(code { _ = try read(bytes) { try $0.readInt() } } == .typeMismatch)
    }
}
