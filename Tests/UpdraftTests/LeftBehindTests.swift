import Glibc
import Synchronization
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Tasks in waits that are not the loop's: nothing can end them, and nothing waits for them for
/// ever.
@Suite struct LeftBehindTests {
    /// A continuation that is resumed by nobody before the test says so.
    private final class Foreign: Sendable {
        private let continuation = Mutex<CheckedContinuation<Void, Never>?>(nil)

        var isWaiting: Bool { continuation.withLock { $0 != nil } }

        func wait() async {
            await withCheckedContinuation { new in continuation.withLock { $0 = new } }
        }

        func release() {
            continuation.withLock { $0.take() }?.resume()
        }
    }

    @Test func aDrainKeepsItsDeadlineWhateverAHandlerWaitsFor_P2() async throws {
        let foreign = Foreign()
        let cut = try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.listen { _ in await foreign.wait() }
            let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            try await loop.turns { foreign.isWaiting }
            let cut = await server.drain(.milliseconds(10))
            // The peer is told: a reset, not silence.
            await #expect(throws: (any Error).self) { try await stream.read(upTo: 1) }
            stream.close()
            foreign.release()
            return cut
        }
        #expect(cut == 1)
    }

    @Test func aLoopEndsAlthoughATaskWaitsForSomethingElse() async throws {
        let foreign = Foreign()
        let pipe = SystemPipe()
        let (readEnd, writeEnd) = (pipe.readEnd, pipe.writeEnd)
        try await withLoop { loop in
            // Ready in every turn: that must not keep the ending loop busy for ever.
            try loop.addHandler(readEnd, events: .read) { _, _ in }
            _ = Glibc.write(writeEnd, [1], 1)
            loop.spawn { await foreign.wait() }
            try await loop.turns { foreign.isWaiting }
        }
        foreign.release()
        withExtendedLifetime(pipe) {}
    }

    @Test func whatAHandlerThrowsIsReported_K5() async throws {
        let reported = Mutex<[String]>([])
        let peers = Mutex<[String]>([])
        try await withLoop { loop in
            loop.onUnhandledError = { error, place in
                reported.withLock { $0.append("\(place): \(error)") }
            }
            let server = TCPServer(port: 0)
            try server.listen { stream in
                if let peer = stream.peerAddress { peers.withLock { $0.append("\(peer)") } }
                throw Broken(number: 7)
            }
            let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            #expect(try await stream.readToEnd() == [])
            stream.close()
        }
        let peer = peers.withLock { $0.first ?? "nobody" }
        #expect(
            reported.withLock { $0 }
                == ["The handler of a connection from \(peer): Broken(number: 7)"])
    }

    @Test func anAnswerGivenEarlyReachesAPeerThatIsStillSending() async throws {
        try await withLoop { loop in
            let server = TCPServer(port: 0)
            try server.listen { stream in
                _ = try await stream.read(upTo: 1)
                try await loop.turns(20)
                try await stream.write("no")
            }
            let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            let sending = loop.spawn {
                try? await stream.write([UInt8](repeating: 1, count: 3_000_000))
            }
            #expect(try await stream.read(exactly: 2) == Array("no".utf8))
            sending.cancel()
            stream.abort()
        }
    }
}
