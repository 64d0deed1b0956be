import MessagePack
import Testing

struct TimestampTests {
    static let vectors: [(Int64, UInt32, [UInt8])] = [
        (0, 0, [0xd6, 0xff, 0, 0, 0, 0]),
        (4_294_967_295, 0, [0xd6, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (4_294_967_296, 0, [0xd7, 0xff, 0, 0, 0, 1, 0, 0, 0, 0]),
        (1, 1, [0xd7, 0xff, 0, 0, 0, 4, 0, 0, 0, 1]),
        (
            17_179_869_183, 999_999_999,
            [0xd7, 0xff, 0xee, 0x6b, 0x27, 0xff, 0xff, 0xff, 0xff, 0xff]
        ),
        (17_179_869_184, 0, [0xc7, 12, 0xff, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]),
        (-1, 5, [0xc7, 12, 0xff, 0, 0, 0, 5] + [UInt8](repeating: 0xff, count: 8)),
    ]

    @Test(arguments: vectors)
    func timestampsTakeTheShortestForm(
        seconds: Int64, nanoseconds: UInt32, bytes: [UInt8]
    ) throws {
        let timestamp = try #require(
            MessagePackTimestamp(seconds: seconds, nanoseconds: nanoseconds))
        #expect(try timestamp.messagePackBytes() == bytes)
        #expect(try MessagePackTimestamp(messagePackBytes: bytes) == timestamp)
        #expect(try MessagePackValue(messagePackBytes: bytes).timestampValue == timestamp)
        #expect(MessagePackTimestamp(sinceEpoch: timestamp.sinceEpoch) == timestamp)
    }

    @Test func impossibleTimestampsAreMalformed() throws {
        #expect(MessagePackTimestamp(seconds: 0, nanoseconds: 1_000_000_000) == nil)
        let wrong: [[UInt8]] = [
            [0xd4, 0xff, 0], [0xd7, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            [0xc7, 12, 0xff] + [UInt8](repeating: 0xff, count: 12),
        ]
        for bytes in wrong {
            #expect(code { _ = try MessagePackTimestamp(messagePackBytes: bytes) } == .malformed)
            #expect(try MessagePackValue(messagePackBytes: bytes).messagePackBytes() == bytes)
        }
        let other: [UInt8] = [0xd6, 5, 0, 0, 0, 0]
        #expect(code { _ = try MessagePackTimestamp(messagePackBytes: other) } == .typeMismatch)
    }

    @Test func aDurationBeforeTheEpochIsRoundedToThePast() {
        let early = MessagePackTimestamp(sinceEpoch: .nanoseconds(-1))
        #expect((early.seconds, early.nanoseconds) == (-1, 999_999_999))
        let finer = MessagePackTimestamp(
            sinceEpoch: Duration(secondsComponent: 0, attosecondsComponent: -1))
        #expect((finer.seconds, finer.nanoseconds) == (-1, 999_999_999))
        let whole = MessagePackTimestamp(sinceEpoch: .seconds(-3))
        #expect((whole.seconds, whole.nanoseconds) == (-3, 0))
        #expect(whole < early)
    }
}
