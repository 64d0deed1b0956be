import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// A server's stop ends reads that have nothing yet, and no others.
@Suite struct StreamDrainTests {
    private enum Read: CaseIterable {
        case exactly, until, intoArray, lent

        /// Six bytes, the last a newline.
        nonisolated(nonsending) func callAsFunction(_ stream: IOStream) async throws -> [UInt8] {
            switch self {
            case .exactly: return try await stream.read(exactly: 6)
            case .until: return try await stream.read(until: "\n")
            case .intoArray:
                var array = [UInt8](repeating: 0, count: 6)
                try await stream.read(into: &array)
                return array
            case .lent:
                var bytes: [UInt8] = []
                try await stream.read(atLeast: 6) { span in
                    bytes = span.withUnsafeBytes { Array($0) }
                    return span.byteCount
                }
                return bytes
            }
        }
    }

    @Test(arguments: TransportKind.prompt, Read.allCases)
    private func aReadThatHasAPartGoesOn(over kind: TransportKind, read: Read) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let line = loop.async { try await read(far) }
            try await near.write("abc")
            try await loop.turns(8)
            far.endInputWhenIdle()
            try await loop.turns(3)
            #expect(!line.isDone)
            try await near.write("de\n")
            #expect(try await line.value == "abcde\n".bytes)
            let next = await streamFailure { try await read(far) }
            #expect(next == .endOfStream)
        }
    }

    @Test(arguments: TransportKind.prompt, Read.allCases)
    private func aReadThatHasNothingIsEnded(over kind: TransportKind, read: Read) async throws {
        try await withLoop { loop in
            let (_, far) = try await kind.pair(on: loop)
            let line = loop.async { await streamFailure { try await read(far) } }
            try await loop.turns(until: { far.isReading })
            far.endInputWhenIdle()
            #expect(try await line.value == .endOfStream)
        }
    }

    /// The read waits for its stream's next share, with nothing to come any more.
    @Test func aReadBeyondItsShareIsEndedToo() async throws {
        try await withLoop { loop in
            loop.limits.streamBytesMax = 100
            let (near, far) = try await TransportKind.memory.pair(on: loop)
            try await near.write([UInt8](repeating: 1, count: 100))
            #expect(try await far.read(exactly: 100).count == 100)
            far.endInputWhenIdle()
            let next = await streamFailure { try await far.read(exactly: 100) }
            #expect(next == .endOfStream)
        }
    }

    /// What it has is in the caller's array, and no longer in the stream's buffer.
    @Test func aLongReadThatHasAPartGoesOn() async throws {
        try await withLoop { loop in
            let (near, far) = try await TransportKind.memory.pair(on: loop)
            let read = loop.async {
                var array = [UInt8](repeating: 0, count: 40_000)
                return try await far.read(into: &array)
            }
            try await near.write([UInt8](repeating: 1, count: 20_000))
            try await loop.turns(8)
            #expect(far.readBuffer.isEmpty)
            far.endInputWhenIdle()
            try await loop.turns(3)
            #expect(!read.isDone)
            try await near.write([UInt8](repeating: 1, count: 20_000))
            #expect(try await read.value == 40_000)
        }
    }

    @Test(arguments: [0, 4])
    func aDescriptorIsNotDetachedWhileItsBytesAreLent_J11(readBefore: Int) async throws {
        try await withLoop { loop in
            let (near, far) = try await TransportKind.tcp.pair(on: loop)
            try await near.write("abcdefgh")
            try await loop.turns(3)
            if readBefore > 0 { _ = try await far.read(exactly: readBefore) }
            var code: StreamError.Code?
            try await far.read(atLeast: 1) { bytes in
                do {
                    _ = try far.detach()
                } catch {
                    code = (error as? StreamError)?.code
                }
                return 2
            }
            #expect(code == .cannotDetach)
            #expect(try await far.read(exactly: 6 - readBefore).count == 6 - readBefore)
        }
    }
}
