import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// What a stream is without a word about it: contract rows J1 and J12.
@Suite struct StreamDefaultsTests {
    @Test func theBoundsAreThoseOfTheContract_J1() {
        let options = StreamOptions()
        #expect(options.readBufferMax == 104_857_600)
        #expect(options.highWaterMark == 262_144)
        #expect(options.lowWaterMark == 65_536)
        #expect(options.writeBufferMax == 104_857_600)
        #expect(!options.staysOpenPastLimit)
        #expect(!options.allowsHalfOpen)
        #expect(options.closeTimeout == .seconds(10))
    }

    @Test func aReadTakesSixtyFourKibibytesAtATime_J1() async throws {
        try await withLoop { loop in
            let (near, far) = try await connectedPair(on: loop)
            let writing = loop.async {
                try await far.write([UInt8](repeating: 1, count: 1 << 20))
                try await far.flush()
                far.close()
            }
            var largest = 0
            for try await chunk in near.chunks { largest = max(largest, chunk.count) }
            try await writing.value
            #expect(largest == 65_536)
        }
    }

    @Test func aConnectedSocketBecomesAStreamThatDoesNotBlock_J12() async throws {
        try await withLoop { loop in
            var ends: [Int32] = [-1, -1]
            #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
            let near = try IOStream(socket: ends[0], loop: loop)
            let far = try IOStream(socket: ends[1], loop: loop)
            #expect(fcntl(ends[0], F_GETFL) & O_NONBLOCK != 0)
            try await near.write("x")
            #expect(try await far.read(exactly: 1) == "x".bytes)

            let idle = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            #expect(throws: SystemError.self) { _ = try IOStream(socket: idle, loop: loop) }
            // It stays the caller's.
            #expect(close(idle) == 0)
        }
    }
}
