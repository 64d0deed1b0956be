import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTLS
import UpdraftTesting

/// What a stream may be made of, and how it hands its bytes on: rows J11-J13, list 3.2, 4, 5, 50
/// and 51.
@Suite struct StreamTransportTests {
    /// Gives back what is written to it, in pieces as they were written.
    private final class Mirror: Transport {
        var descriptor: Int32? { nil }
        var onReady: ((IOEvents) -> Void)?
        private let loop: IOLoop
        private var held: [UInt8] = []
        private var isEnded = false
        /// Bytes in each piece of each write.
        private(set) var pieces: [[Int]] = []
        var room = Int.max

        init(_ loop: IOLoop) { self.loop = loop }

        func read(into buffer: UnsafeMutableRawBufferPointer) throws -> TransportRead {
            if held.isEmpty { return isEnded ? .endOfStream : .wouldBlock }
            let count = min(held.count, buffer.count)
            buffer.copyBytes(from: held[..<count])
            held.removeFirst(count)
            return .bytes(count)
        }

        func write(_ bytes: UnsafeRawBufferPointer) throws -> Int { try write([bytes]) }

        func write(_ pieces: [UnsafeRawBufferPointer]) throws -> Int {
            self.pieces.append(pieces.map(\.count))
            let offered = pieces.flatMap { Array($0) }
            held += offered.prefix(room)
            tell(.read)
            return min(offered.count, room)
        }

        func shutdownWrite() {
            isEnded = true
            tell([.read, .readHangup])
        }

        private func tell(_ events: IOEvents) {
            loop.addCallback { [self] in onReady?(events) }
        }

        func takePendingError() -> SystemError? { nil }
        func close() {}
        func abort() {}
    }

    @Test func aTransportOfOnesOwnCarriesAStream_J11() async throws {
        try await withLoop { loop in
            let stream = try IOStream(Mirror(loop), loop: loop)
            try await stream.write("there and back\n")
            #expect(try await stream.read(until: "\n") == "there and back\n".bytes)
            stream.endWriting()
            #expect(try await stream.readToEnd() == [])
            stream.close()
            try await stream.closed()
        }
    }

    @Test func aConnectedSocketBecomesAStream_J12() async throws {
        try await withLoop { loop in
            var ends: [Int32] = [-1, -1]
            #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
            let stream = try IOStream(socket: ends[0], loop: loop)
            #expect(fcntl(ends[0], F_GETFL) & O_NONBLOCK != 0)
            #expect(fcntl(ends[0], F_GETFD) & FD_CLOEXEC != 0)
            #expect(stream.peerAddress != nil)
            #expect(send(ends[1], "hello", 5, 0) == 5)
            #expect(try await stream.read(exactly: 5) == "hello".bytes)
            stream.close()
            try await stream.closed()
            #expect(recv(ends[1], &ends, 1, 0) == 0)
            Glibc.close(ends[1])
        }
    }

    @Test func whatIsNoConnectedSocketStaysTheCallers_J12() async throws {
        try await withLoop { loop in
            let unconnected = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            let file = open("/dev/null", O_RDWR)
            for descriptor in [unconnected, file] {
                #expect(throws: SystemError.self) { try IOStream(socket: descriptor, loop: loop) }
                #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK == 0)
                #expect(Glibc.close(descriptor) == 0)
            }
            #expect(loop.metrics.streamsOpen == 0)
        }
    }

    /// Held: 3.2.5.
    @Test(arguments: [false, true])
    func connectGivesTheStreamToReadFrom_3_2_5_J13(isTLS: Bool) async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            if isTLS { server.useTLS(try serverContext()) }
            try server.listen { stream in try await stream.write("200 OK\r\nbody") }
            let stream =
                isTLS
                ? try await TCPClient.connect(
                    host: "localhost", port: server.port, tls: clientContext())
                : try await TCPClient.connect(host: "localhost", port: server.port)
            #expect(try await stream.read(until: "\r\n") == "200 OK\r\n".bytes)
            #expect(try await stream.read(exactly: 4) == "body".bytes)
            stream.close()
            server.stop()
        }
    }

    /// `connect` returns when there is a connection; what can be written before that is what comes
    /// before the handshake's end.
    /// Held: 3.2.4.
    @Test(arguments: TransportKind.plain)
    func whatIsWrittenDuringTheHandshakeIsSentAfterIt_3_2_4(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.beginTLS(client: clientContext(), host: "localhost")
            try await near.write("early\n")
            #expect(near.tls == nil)
            try await far.startTLS(server: serverContext())
            #expect(try await far.read(until: "\n") == "early\n".bytes)
            try await near.waitForHandshake()
            near.close()
            far.close()
        }
    }

    /// Held: 3.2.50.
    @Test func smallWritesAreGatheredAndTheRestOfThemIsKept_3_2_50() async throws {
        try await withLoop { loop in
            let mirror = Mirror(loop)
            mirror.room = 7
            let stream = try IOStream(mirror, loop: loop)
            var expected: [UInt8] = []
            for number in 0..<40 {
                let bytes = [UInt8](repeating: UInt8(number), count: number % 9)
                expected += bytes
                try stream.enqueue(bytes)
            }
            let reading = loop.async { try await stream.read(exactly: expected.count) }
            // Every attempt is one piece with all that is left, and seven bytes are taken of it.
            while stream.isWriting {
                try await loop.nextTurn()
                stream.sendNow()
            }
            #expect(try await reading.value == expected)
            let offered = stride(from: expected.count, to: 0, by: -7).map { [$0] }
            #expect(mirror.pieces == offered)
        }
    }

    /// Held: 3.2.51.
    @Test func largePiecesAreKeptAsTheyAre_3_2_51() async throws {
        try await withLoop { loop in
            loop.limits.streamBytesMax = 1 << 20
            let mirror = Mirror(loop)
            let stream = try IOStream(mirror, loop: loop)
            var random = SeededGenerator(seed: 51)
            let (small, large) = (random.bytes(10), random.bytes(200_000))
            for bytes in [large, small, small, large, small] { try stream.enqueue(bytes) }
            try await stream.flush()
            #expect(mirror.pieces == [[200_000, 20, 200_000, 10]])
            let expected = large + small + small + large + small
            #expect(try await stream.read(exactly: expected.count) == expected)
        }
    }

    @Test func sixtyFourPiecesLeaveInOneCallAndOneMoreInASecond_J2() async throws {
        try await withLoop { loop in
            loop.limits.streamBytesMax = 1 << 20
            for (count, calls) in [(64, [64]), (65, [64, 1])] {
                let mirror = Mirror(loop)
                let stream = try IOStream(mirror, loop: loop)
                let pieces = (0..<count).map { [UInt8](repeating: UInt8($0), count: 4_096) }
                try await stream.write(pieces: pieces)
                try await stream.flush()
                #expect(mirror.pieces.map(\.count) == calls)
                #expect(try await stream.read(exactly: count * 4_096) == Array(pieces.joined()))
            }
        }
    }

    /// What fits goes in one call, and of the piece that does not a part.
    @Test func aCallIsOfferedNoMoreThanTheShareOfTheTurn() async throws {
        try await withLoop { loop in
            loop.limits.streamBytesMax = 100_000
            let mirror = Mirror(loop)
            let stream = try IOStream(mirror, loop: loop)
            var random = SeededGenerator(seed: 7)
            let pieces = [60_000, 60_000, 50_000].map { random.bytes($0) }
            try await stream.write(pieces: pieces)
            try await stream.flush()
            #expect(mirror.pieces == [[60_000, 40_000], [20_000, 50_000]])
            try await loop.nextTurn()
            try await stream.writeAndFlush(random.bytes(250_000))
            #expect(mirror.pieces.dropFirst(2) == [[100_000], [100_000], [50_000]])
            #expect(try await stream.read(exactly: 170_000) == Array(pieces.joined()))
        }
    }
}
