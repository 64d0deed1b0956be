import MessagePack
import Testing

struct FormatTests {
    @Test(arguments: FormatVectors.all + FormatVectors.long)
    func everyFormatIsReadAndWrittenBack(vector: FormatVector) throws {
        let bytes = vector.bytes
        let value = try MessagePackValue(messagePackBytes: bytes)
        #expect(try value.messagePackBytes() == bytes)
        #expect(try MessagePackValue(messagePackBytes: bytes.lazy.map { $0 }) == value)
    }

    @Test(arguments: FormatVectors.all + FormatVectors.long)
    func skipEndsWhereTheValueEnds(vector: FormatVector) throws {
        let bytes = vector.bytes
        try MessagePackReader.withReader(of: bytes + [0xc3]) { (reader) throws in
            try reader.skip()
            #expect(reader.position == bytes.count)
            #expect(try reader.readBool())
            #expect(reader.isAtEnd)
        }
    }

    @Test(arguments: FormatVectors.all)
    func aValueCutAnywhereIsTruncated(vector: FormatVector) {
        let bytes = vector.bytes
        for end in 0..<bytes.count {
            let part = Array(bytes[..<end])
            #expect(code { _ = try MessagePackValue(messagePackBytes: part) } == .truncated)
            #expect(code { try read(part) { try $0.skip() } } == .truncated)
            let decoder = MessagePackDecoder()
            #expect(
                code { _ = try decoder.decode(MessagePackValue.self, from: part) } == .truncated)
        }
    }

    @Test func everyByteHasItsType() {
        for byte in UInt8.min...UInt8.max {
            #expect((MessagePackType(formatByte: byte) == nil) == (byte == 0xc1))
        }
        #expect(MessagePackType(formatByte: 0xc0) == .nil)
        #expect(MessagePackType(formatByte: 0xd3) == .integer)
        #expect(MessagePackType(formatByte: 0xd4) == .ext)
        #expect(MessagePackType(formatByte: 0xd9) == .string)
    }

    @Test func theReservedByteIsMalformedForEveryRead() {
        let reads: [(inout MessagePackReader) throws -> Void] = [
            { try $0.readNil() }, { _ = try $0.readBool() }, { _ = try $0.readInt() },
            { _ = try $0.readDouble() }, { _ = try $0.readFloat() }, { _ = try $0.readString() },
            { _ = try $0.readBinary() }, { _ = try $0.readExt() }, { try $0.skip() },
            { _ = try $0.readArrayHeader() }, { _ = try $0.readMapHeader() },
            { _ = try $0.peekType() }, { _ = try $0.readTimestamp() },
        ]
        for body in reads {
            #expect(code { try read([0xc1], body) } == .malformed)
            #expect(code { try read([], body) } == .truncated)
        }
    }

    @Test func aReadOfTheWrongTypeConsumesNothing() throws {
        let bytes = written {
            $0.write("a")
            $0.write(true)
        }
        try MessagePackReader.withReader(of: bytes) { (reader) throws in
            #expect(code { try reader.readNil() } == .typeMismatch)
            #expect(code { _ = try reader.readBool() } == .typeMismatch)
            #expect(code { _ = try reader.readInt() } == .typeMismatch)
            #expect(code { _ = try reader.readDouble() } == .typeMismatch)
            #expect(code { _ = try reader.readFloat() } == .typeMismatch)
            #expect(code { _ = try reader.readExt() } == .typeMismatch)
            #expect(code { _ = try reader.readArrayHeader() } == .typeMismatch)
            #expect(code { _ = try reader.readMapHeader() } == .typeMismatch)
            let isNil = reader.readNilIfPresent()
            #expect(!isNil)
            #expect(reader.position == 0)
            #expect(try reader.readString() == "a")
            #expect(code { _ = try reader.readString() } == .typeMismatch)
            #expect(code { _ = try reader.readBinary() } == .typeMismatch)
            #expect(try reader.readBool())
        }
    }

    @Test func lengthBombsAreRefusedAtOnce() {
        let bombs: [[UInt8]] = [
            [0xdd, 0xff, 0xff, 0xff, 0xff, 1, 2, 3], [0xdf, 0xff, 0xff, 0xff, 0xff, 1, 2, 3],
            [0xdb, 0xff, 0xff, 0xff, 0xff, 1, 2, 3], [0xc6, 0xff, 0xff, 0xff, 0xff, 1, 2, 3],
            [0xc9, 0xff, 0xff, 0xff, 0xff, 1, 2, 3], [0x9f, 1, 2], [0x82, 1, 2, 3],
        ]
        for bomb in bombs {
            #expect(code { _ = try MessagePackValue(messagePackBytes: bomb) } == .truncated)
            #expect(code { try read(bomb) { try $0.skip() } } == .truncated)
        }
        for header in [bombs[0], bombs[5]] {
            #expect(code { _ = try read(header) { try $0.readArrayHeader() } } == .truncated)
        }
        for header in [bombs[1], bombs[6]] {
            #expect(code { _ = try read(header) { try $0.readMapHeader() } } == .truncated)
        }
        #expect(code { _ = try [Int](messagePackBytes: bombs[0]) } == .truncated)
        #expect(code { _ = try [Int: Int](messagePackBytes: bombs[1]) } == .truncated)
        #expect(code { _ = try [UInt8](messagePackBytes: bombs[3]) } == .truncated)
    }

    @Test func readerRefusesNestingOf65() throws {
        struct Tree: MessagePackCodable, Equatable {
            var children: [Tree]
            func encode(into writer: inout MessagePackWriter) throws {
                try writer.encode(children)
            }
            static func decode(from reader: inout MessagePackReader) throws -> Tree {
                Tree(children: try reader.decode())
            }
        }
        let fits = nestedArrays(64)
        let tooDeep = nestedArrays(65)
        #expect(try MessagePackValue(messagePackBytes: fits).messagePackBytes() == fits)
        #expect(try Tree(messagePackBytes: fits).messagePackBytes() == fits)
        try read(fits) { try $0.skip() }
        #expect(code { _ = try MessagePackValue(messagePackBytes: tooDeep) } == .nestingTooDeep)
        #expect(code { _ = try Tree(messagePackBytes: tooDeep) } == .nestingTooDeep)
        #expect(code { try read(tooDeep) { try $0.skip() } } == .nestingTooDeep)
        let million = nestedArrays(1_000_000)
        #expect(code { _ = try MessagePackValue(messagePackBytes: million) } == .nestingTooDeep)
        #expect(code { try read(million) { try $0.skip() } } == .nestingTooDeep)
    }

    @Test func writerRefusesNestingOf65() throws {
        var value: MessagePackValue = []
        for _ in 1..<64 { value = [value] }
        #expect(try value.messagePackBytes() == nestedArrays(64))
        let tooDeep = MessagePackValue.array([value])
        #expect(code { _ = try tooDeep.messagePackBytes() } == .nestingTooDeep)
        #expect(code { _ = try [[value]].messagePackBytes() } == .nestingTooDeep)
        #expect(code { _ = try [1: value].messagePackBytes() } == .nestingTooDeep)
    }

    @Test func bytesBehindTheValueAreCounted() {
        #expect {
            _ = try Int(messagePackBytes: [1, 2, 3] as [UInt8])
        } throws: { "\($0)" == "trailingBytes: 2 bytes follow the end of the value" }
    }
}
