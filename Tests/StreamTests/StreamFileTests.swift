import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Sending files, within the kernel and without.
@Suite struct StreamFileTests {
    @Test(arguments: TransportKind.allCases)
    func aFileStandsBetweenWhatIsWrittenBeforeAndAfter(over kind: TransportKind) async throws {
        let file = try ScratchFile(300_000)
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let sender = loop.async {
                try await near.write("head\n")
                let count = try await near.sendFile(file.path)
                try await near.write("tail\n")
                near.close()
                return count
            }
            #expect(try await far.readToEnd() == "head\n".bytes + file.bytes + "tail\n".bytes)
            #expect(try await sender.value == 300_000)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func writesOfOthersComeAfterTheFile(over kind: TransportKind) async throws {
        let file = try ScratchFile(500_000)
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let descriptor = open(file.path, O_RDONLY)
            defer { close(descriptor) }
            loop.spawn { try await near.sendFile(descriptor: descriptor, bytes: 10..<400_010) }
            try await loop.turns { near.isWriting || near.sentBytes > 0 }
            try near.enqueue("behind".bytes)
            loop.spawn {
                try await near.write(pieces: [[1], [UInt8](repeating: 2, count: 5_000)])
                near.endWriting()
            }
            let expected =
                file.bytes[10..<400_010] + "behind".bytes + [1]
                + [UInt8](repeating: 2, count: 5_000)
            #expect(try await far.readToEnd() == Array(expected))
        }
    }

    /// A file may be longer than anybody would wait for.
    @Test func theEndOfTheLoopCutsAFileOff() throws {
        let file = try SparseFile(64 << 20)
        let loop = try IOLoop()
        let (carrier, far) = MemoryTransport.pair(on: loop, capacity: 1 << 30)
        let near = try IOStream(carrier, loop: loop)
        loop.spawn { try await near.sendFile(file.path) }
        loop.spawn {
            try await loop.turns { near.isWriting }
            loop.stop()
        }
        try loop.start()
        #expect(near.isWriting)
        loop.close()
        #expect(near.sentBytes < 4 << 20)
        withExtendedLifetime(far) {}
    }

    @Test func severalFilesAndAnEmptyOneKeepTheirOrder() async throws {
        let large = try ScratchFile(70_000)
        let empty = try ScratchFile(0)
        try await withLoop { loop in
            let (near, far) = try await TransportKind.tcp.pair(on: loop)
            let descriptor = open(large.path, O_RDONLY)
            defer { close(descriptor) }
            for part in [0..<5, 69_990..<70_000] {
                loop.spawn { try await near.sendFile(descriptor: descriptor, bytes: part) }
            }
            #expect(try await near.sendFile(empty.path) == 0)
            try await loop.turns { near.sentBytes == 15 }
            near.close()
            let expected = large.bytes[..<5] + large.bytes[69_990...]
            #expect(try await far.readToEnd() == Array(expected))
        }
    }

    @Test func whatCanNotBeSentIsAClearErrorAndLeavesTheStreamAlone() async throws {
        let file = try ScratchFile(10)
        try await withLoop { loop in
            let (near, far) = try await TransportKind.tcp.pair(on: loop)
            let short = await streamFailure { try await near.sendFile(file.path, bytes: 5..<11) }
            #expect(short == .fileTooShort)
            let missing = await failure { try await near.sendFile("/no/such/file") }
            #expect("\(missing as Any)".contains("/no/such/file"))
            let folder = await failure { try await near.sendFile("/dev") }
            #expect(folder is SystemError)
            try await near.write("x")
            #expect(try await far.read(exactly: 1) == "x".bytes)
        }
    }

    @Test(arguments: TransportKind.withReset)
    func aFileThatShrinksMeanwhileAbortsTheStream(over kind: TransportKind) async throws {
        let file = try ScratchFile(8_000_000)
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let sender = loop.async { try await near.sendFile(file.path) }
            _ = try await far.read(exactly: 1_000)
            truncate(file.path, 2_000)
            let rest = await failure { while true { _ = try await far.read(upTo: 65_536) } }
            #expect((rest as? StreamError)?.code == .closed)
            let code = await streamFailure { try await sender.value }
            #expect(code == .fileTooShort)
        }
    }

    /// The call that is about to be made gets the bytes that are left, fewer than it asks for: what
    /// is missing shows at the next one, while the socket has room all the time.
    @Test(arguments: TransportKind.withReset)
    func aFileThatShrinksAboveWhatWasSentAbortsTheStream(over kind: TransportKind) async throws {
        let file = try ScratchFile(1_000_000)
        try await withLoop { loop in
            loop.limits.streamBytesMax = 65_536
            let (near, far) = try await kind.pair(on: loop)
            let sender = loop.async { try await near.sendFile(file.path) }
            let reader = loop.async {
                await failure { while true { _ = try await far.read(upTo: 65_536) } }
            }
            try await loop.turns(until: { near.sentBytes > 0 })
            #expect(near.sentBytes < 900_000)
            truncate(file.path, off_t(near.sentBytes) + 10_000)
            let code = await streamFailure {
                try await withTimeout(.seconds(10)) { try await sender.value }
            }
            #expect(code == .fileTooShort)
            #expect((try await reader.value as? StreamError)?.code == .closed)
        }
    }

    @Test func aLargeFileLeavesTheOthersTheirTurns() async throws {
        let file = try ScratchFile(4_000_000)
        try await withLoop { loop in
            loop.limits.streamBytesMax = 65_536
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 1 << 24)
            let start = loop.turnNumber
            try await near.sendFile(file.path)
            // What one call sends is a quarter of a MiB at the most; here it goes through memory.
            #expect(loop.turnNumber - start >= 50)
            near.close()
            #expect(try await far.readToEnd().count == 4_000_000)
        }
    }

    @Test func aCancelledSenderLeavesNoDescriptorBehind() async throws {
        let file = try ScratchFile(100)
        try await withLoop { loop in
            let (near, far) = try await TransportKind.tcp.pair(on: loop)
            _ = try await loop.runInExecutor {}
            let before = openDescriptors()
            for _ in 0..<20 {
                let sender = loop.async { try await near.sendFile(file.path) }
                try await loop.nextTurn()
                sender.cancel()
                _ = await failure { try await sender.value }
            }
            try await loop.turns { openDescriptors() <= before }
            far.abort()
        }
    }
}
