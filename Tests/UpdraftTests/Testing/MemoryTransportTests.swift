import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Connections in memory, which behave as sockets do, and the trouble of `ScriptedTransport`.
@Suite(.timeLimit(.minutes(1))) struct MemoryTransportTests {
    /// The bytes that a write takes, or its negated `errno`.
    private func write(_ text: String, to transport: any Transport) -> Int {
        do {
            return try text.bytes.withUnsafeBytes { try transport.write($0) }
        } catch {
            return -Int((error as? SystemError)?.errno ?? 0)
        }
    }

    /// What a read gives: a text, or in brackets what is none.
    private func read(from transport: any Transport, _ count: Int = 100) -> String {
        var bytes = [UInt8](repeating: 0, count: count)
        do {
            switch try bytes.withUnsafeMutableBytes({ try transport.read(into: $0) }) {
            case .bytes(let count): return String(decoding: bytes[..<count], as: UTF8.self)
            case .endOfStream: return "(end)"
            case .wouldBlock: return "(nothing)"
            }
        } catch {
            return "(errno \((error as? SystemError)?.errno ?? 0))"
        }
    }

    @Test func aDirectionHoldsItsCapacityAndNoMore() async throws {
        try await withLoop { loop in
            let (near, far) = MemoryTransport.pair(on: loop, capacity: 4)
            #expect(write("abcdef", to: near) == 4)
            #expect(write("e", to: near) == 0)
            #expect(far.unreadBytes == 4)
            #expect(read(from: far, 3) == "abc")
            #expect(write("ef", to: near) == 2)
            #expect(read(from: far) == "def")
            #expect(read(from: far) == "(nothing)")
            // The other direction has a room of its own.
            #expect(write("xyz", to: far) == 3)
            #expect(read(from: near) == "xyz")
        }
    }

    @Test func theEndOfADirectionComesAfterItsBytes() async throws {
        try await withLoop { loop in
            let (near, far) = MemoryTransport.pair(on: loop)
            #expect(write("last", to: near) == 4)
            near.shutdownWrite()
            #expect(read(from: far) == "last")
            #expect(read(from: far) == "(end)")
            #expect(write("x", to: near) == -Int(EPIPE))
            #expect(write("still", to: far) == 5)
            #expect(read(from: near) == "still")
        }
    }

    @Test func closingWithUnreadBytesResetsTheConnection() async throws {
        try await withLoop { loop in
            let (near, far) = MemoryTransport.pair(on: loop)
            #expect(write("unread", to: near) == 6)
            #expect(write("came before", to: far) == 11)
            far.close()
            #expect(read(from: near) == "came before")
            #expect(read(from: near) == "(errno \(ECONNRESET))")
            #expect(read(from: near) == "(end)")
            #expect(write("x", to: near) == -Int(EPIPE))
        }
    }

    @Test func readinessIsToldInACallbackAndTogether() async throws {
        try await withLoop { loop in
            let (near, far) = MemoryTransport.pair(on: loop)
            var told: [IOEvents] = []
            far.onReady = { told.append($0) }
            #expect(write("a", to: near) == 1)
            #expect(write("b", to: near) == 1)
            near.shutdownWrite()
            #expect(told.isEmpty)
            try await loop.waitUntilIdle()
            #expect(told == [[.read, .readHangup]])
        }
    }

    @Test func aScriptIsUsedUpStepByStepAndThenTheRuleHolds() async throws {
        try await withLoop { loop in
            let (near, far) = MemoryTransport.pair(on: loop)
            let scripted = ScriptedTransport(over: near, on: loop)
            scripted.writes = [
                .atMost(2), .wouldBlock, .fail(SystemError(errno: ENOBUFS, operation: "write")),
            ]
            scripted.everyWrite = .atMost(1)
            #expect(write("abc", to: scripted) == 2)
            #expect(write("c", to: scripted) == 0)
            #expect(write("c", to: scripted) == -Int(ENOBUFS))
            #expect(write("cd", to: scripted) == 1)
            #expect(scripted.writeCalls == 4 && scripted.bytesWritten == 3)
            #expect(read(from: far) == "abc")
            #expect(write("0123456789", to: far) == 10)
            scripted.reads = [.wouldBlock, .atMost(4)]
            #expect(read(from: scripted) == "(nothing)")
            #expect(read(from: scripted) == "0123")
            #expect(read(from: scripted) == "456789")
            #expect(scripted.readCalls == 3 && scripted.bytesRead == 10)
        }
    }
}
