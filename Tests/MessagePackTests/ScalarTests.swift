import MessagePack
import Testing

struct ScalarTests {
    @Test func floatsKeepTheirWidth() throws {
        #expect(try Float(1.5).messagePackBytes() == [0xca, 0x3f, 0xc0, 0, 0])
        #expect(try 1.5.messagePackBytes() == [0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0])
        #expect(try Double(messagePackBytes: Float(1.5).messagePackBytes()) == 1.5)
        #expect(try Float(messagePackBytes: 1.5.messagePackBytes()) == 1.5)
        #expect(try Float(messagePackBytes: 7.messagePackBytes()) == 7)
        #expect(try Double(messagePackBytes: UInt64.max.messagePackBytes()) == 0x1p64)
        #expect(try Double(messagePackBytes: Int64.min.messagePackBytes()) == -0x1p63)
    }

    @Test func notANumberAndInfinityPass() throws {
        #expect(try Double(messagePackBytes: Double.nan.messagePackBytes()).isNaN)
        #expect(try Float(messagePackBytes: Double.nan.messagePackBytes()).isNaN)
        #expect(try Float(messagePackBytes: Double.infinity.messagePackBytes()) == .infinity)
        let negativeZero = try Double(messagePackBytes: (-0.0).messagePackBytes())
        #expect(negativeZero.sign == .minus)
    }

    @Test func aDoubleThatNoFloatHoldsIsOutOfRange() throws {
        let bytes = try 1e300.messagePackBytes()
        #expect(code { _ = try Float(messagePackBytes: bytes) } == .outOfRange)
    }

    @Test(arguments: ["", "a", "sum", "grüße", "日本語", "🇩🇪", String(repeating: "é", count: 40_000)])
    func textSurvives(text: String) throws {
        #expect(try String(messagePackBytes: text.messagePackBytes()) == text)
        let binary = written { $0.writeBinary(text.utf8) }
        #expect(try String(messagePackBytes: binary) == text)
        #expect(try [UInt8](messagePackBytes: text.messagePackBytes()) == Array(text.utf8))
    }

    @Test func textThatIsNotUTF8IsRefused() throws {
        let wrong: [[UInt8]] = [
            [0xa1, 0xff], [0xa2, 0xc0, 0x80], [0xa3, 0xed, 0xa0, 0x80], [0xa3, 0xf0, 0x9f, 0x98],
            [0xa9] + FormatVectors.text(8) + [0x80], [0xc4, 1, 0xff],
        ]
        for bytes in wrong {
            #expect(code { _ = try String(messagePackBytes: bytes) } == .invalidUTF8)
        }
        #expect(
            code { _ = try MessagePackValue(messagePackBytes: [0xa1, 0xff] as [UInt8]) }
                == .invalidUTF8)
        #expect(try [UInt8](messagePackBytes: wrong[0]) == [0xff])
    }

    @Test func aStaticStringIsWrittenAsText() {
        let name: StaticString = "leaderboard"
        #expect(written { $0.write(name) } == written { $0.write("leaderboard") })
    }

    @Test func stringBytesAreLentFromTheBuffer() throws {
        let bytes = written { $0.write("abc") }
        try bytes.withUnsafeBytes { buffer in
            var reader = MessagePackReader(buffer)
            let text = try reader.readStringBytes()
            #expect(text.baseAddress == buffer.baseAddress.map { $0 + 1 })
            #expect(text.count == 3)
        }
    }

    @Test func optionalsAreNilOrTheValue() throws {
        #expect(try Int?.none.messagePackBytes() == [0xc0])
        #expect(try Int?.some(5).messagePackBytes() == [5])
        #expect(try Int?(messagePackBytes: [0xc0] as [UInt8]) == nil)
        #expect(try Int?(messagePackBytes: [5] as [UInt8]) == 5)
        #expect(try [Int?](messagePackBytes: [0x92, 0xc0, 1] as [UInt8]) == [nil, 1])
    }

    @Test func byteArraysAreBinaryAndOthersAreArrays() throws {
        let bytes: [UInt8] = [1, 2, 3]
        #expect(try bytes.messagePackBytes() == [0xc4, 3, 1, 2, 3])
        #expect(try bytes[1...].messagePackBytes() == [0xc4, 2, 2, 3])
        #expect(try ContiguousArray(bytes).messagePackBytes() == [0xc4, 3, 1, 2, 3])
        #expect(try [bytes].messagePackBytes() == [0x91, 0xc4, 3, 1, 2, 3])
        #expect(try [1, 2, 3].messagePackBytes() == [0x93, 1, 2, 3])
        #expect(try [Int8(-1)].messagePackBytes() == [0x91, 0xff])
        #expect(try [UInt8](messagePackBytes: [0xc4, 3, 1, 2, 3] as [UInt8]) == bytes)
        #expect(try [UInt8](messagePackBytes: [0x93, 1, 2, 3] as [UInt8]) == bytes)
        #expect(code { _ = try [UInt8](messagePackBytes: [0x91, 0xff] as [UInt8]) } == .outOfRange)
    }

    @Test func dictionariesAreMapsAndTheLastDuplicateCounts() throws {
        let scores = ["ann": [1, 2], "bob": []]
        #expect(try [String: [Int]](messagePackBytes: scores.messagePackBytes()) == scores)
        let twice: [UInt8] = [0x82, 1, 2, 1, 3]
        #expect(try [Int: Int](messagePackBytes: twice) == [1: 3])
    }
}
