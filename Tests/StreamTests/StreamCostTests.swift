import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// What a large message costs, in calls of its transport and turns of its loop: counts, which no
/// other work on the machine changes.
@Suite struct StreamCostTests {
    private static let size = 262_144

    /// Has what arrived, gives as much of it as is asked for, and takes all that is written.
    private final class Link: Transport {
        let descriptor: Int32? = nil
        var onReady: ((IOEvents) -> Void)?
        private var waiting = 0
        private(set) var reads = 0
        private(set) var sends = 0
        private(set) var sent = 0

        func arrive(_ count: Int) {
            waiting += count
            onReady?(.read)
        }

        func read(into buffer: UnsafeMutableRawBufferPointer) -> TransportRead {
            reads += 1
            if waiting == 0 { return .wouldBlock }
            let count = min(waiting, buffer.count)
            waiting -= count
            return .bytes(count)
        }

        func write(_ bytes: UnsafeRawBufferPointer) -> Int { write([bytes]) }

        func write(_ pieces: [UnsafeRawBufferPointer]) -> Int {
            sends += 1
            let count = pieces.reduce(0) { $0 + $1.count }
            sent += count
            return count
        }

        func shutdownWrite() {}
        func takePendingError() -> SystemError? { nil }
        func close() {}
        func abort() {}
    }

    private enum Echo: CaseIterable {
        case chunks, exact, available

        nonisolated(nonsending) func serve(_ stream: IOStream) async throws {
            switch self {
            case .chunks:
                for try await chunk in stream.chunks { try await stream.write(chunk) }
            case .exact:
                while true { try await stream.write(stream.read(exactly: StreamCostTests.size)) }
            case .available:
                while true { try await stream.write(stream.read(upTo: StreamCostTests.size)) }
            }
        }
    }

    /// Four reads of 64 KiB and one that finds no more, one send of all of it, in the turn in which
    /// it comes and the one after it: the message is a stream's share of a turn.
    @Test(arguments: Echo.allCases)
    private func anEchoOf256KiBIsFiveReadsAndOneSend(by echo: Echo) async throws {
        try await withLoop { loop in
            let link = Link()
            let stream = try IOStream(link, loop: loop)
            loop.spawn { try? await echo.serve(stream) }
            try await loop.turns(2)
            for message in 1...10 {
                let (reads, sends, turns) = (link.reads, link.sends, loop.metrics.turns)
                loop.addCallback { link.arrive(Self.size) }
                while link.sent < message * Self.size { try await loop.nextTurn() }
                try await loop.turns(3)
                #expect(link.reads - reads <= 5)
                #expect(link.sends - sends == 1)
                #expect(loop.metrics.turns - turns <= 6)
            }
            stream.close()
        }
    }
}
