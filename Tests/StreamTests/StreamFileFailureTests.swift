import CTestInterrupts
import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTLS
import UpdraftTesting

/// Files that can't be read, and connections that fail with something unsent: the peer must never
/// take half of a message for all of it.
@Suite(.serialized) struct StreamFileFailureTests {
    @Test(.enabled(if: ti_is_available()), arguments: TransportKind.withReset, [0, 60])
    func aFileThatCanNotBeReadOnAbortsTheStream(
        over kind: TransportKind, percent: Int
    ) async throws {
        let file = try ScratchFile(kind.isSlow ? 100_000 : 3_000_000)
        let descriptor = open(file.path, O_RDONLY)
        ti_fail_reads(descriptor, file.bytes.count * percent / 100, EIO)
        defer {
            ti_fail_reads(-1, 0, 0)
            close(descriptor)
        }
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let reader = loop.async { await failure { try await far.readToEnd() } }
            try await near.write("head\n")
            let error = await failure { try await near.sendFile(descriptor: descriptor) }
            #expect((error as? StreamError)?.code == .fileUnreadable)
            #expect(((error as? StreamError)?.cause as? SystemError)?.errno == EIO)
            #expect(near.sentBytes >= file.bytes.count * percent / 200)
            let seen = try await reader.value
            #expect((seen as? StreamError)?.code == .closed)
        }
    }

    /// The last one is O_PATH of Linux, which Swift does not see: neither reading nor writing.
    @Test(arguments: [O_WRONLY, O_WRONLY | O_APPEND, 0x20_0000])
    func aDescriptorThatIsNotForReadingIsRefusedAndLeavesTheStreamAlone(flags: Int32) async throws {
        let file = try ScratchFile(10)
        let descriptor = open(file.path, flags)
        defer { close(descriptor) }
        try await withLoop { loop in
            let (near, far) = try await TransportKind.tcp.pair(on: loop)
            try near.enqueue("head")
            let before = openDescriptors()
            let code = await streamFailure { try await near.sendFile(descriptor: descriptor) }
            #expect(code == .fileUnreadable)
            #expect(near.unsentBytes == 4 && openDescriptors() == before)
            near.close()
            #expect(try await far.readToEnd() == "head".bytes)
        }
    }

    /// The call that sends a file fails for both: the file's failures and the connection's.
    @Test(arguments: [TransportKind.tcp, .unix, .memory])
    func aFailureOfTheConnectionIsNotTakenForTheFiles(over kind: TransportKind) async throws {
        let file = try ScratchFile(1_000)
        let descriptor = open(file.path, O_RDONLY)
        defer { close(descriptor) }
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            far.abort()
            // No event has told of it yet.
            let error = await failure { try await near.sendFile(descriptor: descriptor) }
            #expect((error as? StreamError)?.code == .closed)
            #expect(((error as? StreamError)?.cause as? SystemError)?.isDisconnect == true)
        }
    }

    /// A failure of the kernel's own, which leaves the connection as it is.
    @Test(arguments: [false, true])
    func aStreamThatFailsWithBytesUnsentIsAborted(isTLS: Bool) async throws {
        try await withLoop { loop in
            let (base, peer) = MemoryTransport.pair(on: loop)
            let faulty = ScriptedTransport(over: base, on: loop)
            let near = try IOStream(faulty, loop: loop)
            let far = try IOStream(peer, loop: loop)
            if isTLS {
                let context = try serverContext()
                let accepting = loop.async { try await far.startTLS(server: context) }
                try await near.startTLS(client: clientContext(), host: "localhost")
                try await accepting.value
            }
            let reader = loop.async { await failure { try await far.readToEnd() } }
            faulty.writes = [.atMost(1_000), .fail(SystemError(errno: ENOBUFS, operation: "send"))]
            let code = await streamFailure {
                try await near.writeAndFlush([UInt8](repeating: 1, count: 10_000))
            }
            #expect(code == .closed)
            #expect((try await reader.value as? StreamError)?.code == .closed)
        }
    }

    /// Each has a descriptor, so that a peer that reads nothing must not make it any number.
    @Test func filesWhoseWaitsWereGivenUpAreBounded_J2() async throws {
        let file = try ScratchFile(10)
        let descriptor = open(file.path, O_RDONLY)
        defer { close(descriptor) }
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 100)
            try near.enqueue([UInt8](repeating: 1, count: 1_000))
            _ = try await loop.runInExecutor {}
            let before = openDescriptors()
            var codes: [StreamError.Code] = []
            for _ in 0..<70 {
                let sender = loop.async { try await near.sendFile(descriptor: descriptor) }
                try await loop.nextTurn()
                sender.cancel()
                if let code = await streamFailure(of: { try await sender.value }) {
                    codes.append(code)
                }
            }
            #expect(codes == [StreamError.Code](repeating: .bufferFull, count: 6))
            #expect(await streamFailure { try await near.sendFile(file.path) } == .bufferFull)
            #expect(openDescriptors() <= before + 64)
            #expect(near.unsentBytes <= 1_640)
            let sent =
                [UInt8](repeating: 1, count: 1_000)
                + [[UInt8]](repeating: file.bytes, count: 64).joined()
            #expect(try await far.read(exactly: 1_640) == sent)
            #expect(try await near.sendFile(descriptor: descriptor) == 10)
            try await loop.turns { openDescriptors() <= before }
        }
    }
}
