import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Closing a socket while the peer's bytes lie unread in it: a reset must not take the place of the
/// last bytes, nor of the end. Contract row J8.
@Suite struct StreamUnreadCloseTests {
    /// When the unread bytes have come.
    enum Arrival: String, CaseIterable, Sendable {
        /// The loop's poll has told of them.
        case beforeThePoll
        /// No poll has come between them and the close.
        case afterThePoll
    }

    private static let sockets: [TransportKind] = [.tcp, .unix, .tls]
    private static let body = [UInt8](repeating: 0x62, count: 200_000)

    /// Lets the peer send more than `far` reads.
    private nonisolated(nonsending) func leaveUnread(
        _ near: IOStream, _ far: IOStream, _ arrival: Arrival = .beforeThePoll
    ) async throws {
        try await near.write("head\n")
        #expect(try await far.read(until: "\n") == "head\n".bytes)
        try await far.loop.turns(5)
        try near.enqueue(Self.body)
        near.sendNow()
        while far.bytesInKernel == 0 {}
        if arrival == .beforeThePoll { try await far.loop.turns(5) }
    }

    @Test(arguments: sockets, Arrival.allCases)
    func theAnswerAndTheEndAreReadAlthoughInputIsUnread_J8(
        over kind: TransportKind, arrival: Arrival
    ) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await leaveUnread(near, far, arrival)
            try far.enqueue("error\n")
            far.close()
            #expect(try await near.readToEnd() == "error\n".bytes)
            #expect(near.unsentBytes == 0)
            near.close()
            try await far.closed()
            #expect(far.closeReason?.code == .closed && far.closeReason?.cause == nil)
        }
    }

    @Test func aHandlerMayCloseItsStreamWithInputUnread_J8() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.listen { stream in
                _ = try await stream.read(until: "\n")
                try await loop.turns(until: { stream.bytesInKernel > 0 })
                try await stream.write("error\n")
                stream.close()
            }
            for _ in 0..<5 {
                let client = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                try await client.write("head\n".bytes + Self.body)
                #expect(try await client.readToEnd() == "error\n".bytes)
                client.close()
            }
            try await loop.turns(until: { server.connectionCount == 0 })
            server.stop()
        }
    }

    /// A drain waits for what a server's connection does in its last second.
    @Test func aStreamWhosePeerStaysIsFreedAfterASecond_J8() async throws {
        try await withVirtualLoop { loop in
            let before = Holdings(of: loop)
            let server = TCPServer(port: 0)
            try server.listen { stream in
                try await loop.turns(until: { stream.bytesInKernel > 0 })
                stream.close()
            }
            let client = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            try await client.write("unread")
            #expect(try await client.readToEnd() == [])
            #expect(server.connectionCount == 1)
            let start = loop.now
            #expect(await server.drain(.seconds(20)) == 0)
            #expect(start.duration(to: loop.now) == .seconds(1))
            client.close()
            try await expectNothingLeft(since: before, on: loop)
        }
    }

    /// Where nothing lies unread: which of both came first is the poll's affair.
    @Test(arguments: [TransportKind.tcp, .tls])
    func aResetThatComesWithTheCloseIsNotItsReason_J8(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await far.writeAndFlush("answer\n")
            #expect(try await near.read(until: "\n") == "answer\n".bytes)
            try await loop.turns(5)
            near.abort()
            far.close()
            try await far.closed()
            #expect(far.closeReason?.code == .closed && far.closeReason?.cause == nil)
        }
    }

    @Test(arguments: sockets)
    func whatComesMeanwhileIsDropped_J8(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await leaveUnread(near, far)
            let unparsed = far.unparsedBytes
            far.close()
            for _ in 0..<3 { try await near.write([UInt8](repeating: 1, count: 1_000_000)) }
            try await near.flush()
            #expect(far.unparsedBytes == unparsed && far.closeReason == nil)
            near.endWriting()
            try await far.closed()
            #expect(try await near.readToEnd() == [])
        }
    }

    @Test(arguments: TransportKind.allCases)
    func aStreamWithNothingUnreadIsFreedAtOnce_J8(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("head\n")
            #expect(try await far.read(until: "\n") == "head\n".bytes)
            if !kind.isSlow {
                far.close()
                #expect(far.closeReason != nil)
                #expect(try await near.readToEnd() == [])
            }
        }
    }

    /// A pipe and memory lose nothing by it.
    @Test(arguments: [TransportKind.pipe, .memory, .tlsOverMemory])
    func whatCannotLoseItsLastBytesIsFreedAtOnce_J8(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.write("unread")
            try await near.flush()
            try await loop.turns(5)
            far.close()
            #expect(far.closeReason != nil)
        }
    }

    @Test(arguments: sockets)
    func anAbortWaitsForNothing_J8(over kind: TransportKind) async throws {
        try await withLoop { loop in
            for closesBefore in [true, false] {
                let (near, far) = try await kind.pair(on: loop)
                try await leaveUnread(near, far)
                if closesBefore {
                    far.close()
                    #expect(far.closeReason == nil)
                }
                far.abort()
                #expect(far.closeReason != nil)
                // The close has sent an end already.
                if closesBefore { continue }
                #expect(await streamFailure { try await near.readToEnd() } == .closed)
            }
        }
    }

    /// One look at the socket, and none where it has told its end.
    @Test func aCloseCostsOneReadAtTheMost() async throws {
        try await withLoop { loop in
            for hasEnded in [false, true] {
                var ends: [Int32] = [-1, -1]
                try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
                _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
                let socket = SocketTransport(descriptor: ends[1], peerAddress: nil)
                let counting = ScriptedTransport(over: socket, on: loop)
                let near = try IOStream(socket: ends[0], loop: loop)
                let far = try IOStream(counting, loop: loop)
                try await near.write("line\n")
                _ = try await far.read(until: "\n")
                if hasEnded {
                    near.endWriting()
                    #expect(try await far.readToEnd() == [])
                } else {
                    try await loop.turns(5)
                }
                let before = counting.readCalls
                far.close()
                #expect(far.closeReason != nil)
                #expect(counting.readCalls - before == (hasEnded ? 0 : 1))
                near.close()
            }
        }
    }

    @Test func aLoopThatIsClosedFreesStreamsThatWaitForTheirPeers() async throws {
        let before = openChannels()
        try await withLoop { loop in
            for kind in Self.sockets {
                let (near, far) = try await kind.pair(on: loop)
                try await leaveUnread(near, far)
                far.close()
                #expect(far.closeReason == nil)
                withExtendedLifetime(near) {}
            }
        }
        #expect(openChannels() <= before)
    }
}
