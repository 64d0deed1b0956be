import MessagePack
import Testing

struct WriterTests {
    @Test func anAdoptedBufferIsWrittenInPlace() {
        var buffer: [UInt8] = [0xaa]
        buffer.reserveCapacity(100)
        let address = buffer.withUnsafeBytes { $0.baseAddress }
        var writer = MessagePackWriter(adopting: buffer)
        buffer = []
        writer.writeArrayHeader(2)
        writer.write("sum")
        writer.writeNil()
        buffer = writer.takeBytes()
        #expect(buffer == [0xaa, 0x92, 0xa3, 0x73, 0x75, 0x6d, 0xc0])
        // The second adoption is without another owner from the start.
        var again = MessagePackWriter(adopting: buffer)
        let before = again.withUnsafeBytes { $0.baseAddress }
        buffer = []
        again.write(1)
        #expect(again.withUnsafeBytes { $0.baseAddress } == before)
        #expect(before == address)
        #expect(writer.count == 0)
    }

    @Test func aHalfWrittenReplyIsTakenBack() {
        var writer = MessagePackWriter()
        writer.write(1)
        let mark = writer.count
        writer.writeArrayHeader(4)
        writer.write("lost")
        writer.truncate(to: mark)
        writer.writeNil()
        #expect(writer.bytes == [1, 0xc0])
    }

    @Test func aHeadIsReplacedAfterwards() {
        var writer = MessagePackWriter(capacity: 16)
        writer.writeArrayHeader(0)
        for value in 1...3 { writer.write(value) }
        writer.replaceByte(at: 0, with: 0x93)
        #expect(writer.takeBytes() == [0x93, 1, 2, 3])
    }

    @Test func reserveKeepsWhatIsWrittenAndAddsRoom() {
        var writer = MessagePackWriter()
        writer.write("abc")
        writer.reserve(10_000)
        let before = writer.withUnsafeBytes { $0.baseAddress }
        writer.writeBinary([UInt8](repeating: 1, count: 9_990))
        #expect(writer.withUnsafeBytes { $0.baseAddress } == before)
        #expect(writer.count == 4 + 3 + 9_990)
    }

    @Test func rawBytesAreAppendedAsTheyAre() {
        #expect(written { $0.writeRaw([0x92, 1, 2]) } == [0x92, 1, 2])
    }
}
