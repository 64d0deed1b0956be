import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Reading to the end of a stream that has come to another: contract row J6.
@Suite struct StreamReadToEndTests {
    /// How far the closing has come when the read is called.
    enum Phase: String, CaseIterable, Sendable {
        /// Bytes are unsent.
        case sending
        /// All is sent, and the peer may go on to send.
        case lingering
        case closed
    }

    private nonisolated(nonsending) func close(
        _ near: IOStream, _ phase: Phase, _ kind: TransportKind
    ) async throws {
        switch phase {
        case .sending:
            try near.enqueue([UInt8](repeating: 1, count: kind.surfeit))
            near.close()
            #expect(near.isWriting)
        case .lingering:
            near.close(lingering: .seconds(3_600))
            #expect(near.isClosed && !near.isWriting && near.closeReason == nil)
        case .closed:
            near.close()
            #expect(near.closeReason != nil)
        }
    }

    /// A pair of streams, the first of which holds a half of what its peer has to say.
    private nonisolated(nonsending) func halfRead(
        _ kind: TransportKind, on loop: IOLoop
    ) async throws -> (IOStream, IOStream) {
        let (near, far) = try await kind.pair(on: loop)
        try await far.write("line\nhalf")
        #expect(try await near.read(until: "\n") == "line\n".bytes)
        #expect(near.unparsedBytes == 4)
        return (near, far)
    }

    @Test(arguments: TransportKind.prompt, Phase.allCases)
    func whatIsBufferedOnAStreamThatThisSideClosedIsReadOnce_J6(
        over kind: TransportKind, phase: Phase
    ) async throws {
        try await withLoop { loop in
            let (near, far) = try await halfRead(kind, on: loop)
            try await close(near, phase, kind)
            // It is closed to what comes later.
            try? await far.write("the other half")
            try await loop.turns(5)
            #expect(try await near.readToEnd() == "half".bytes)
            #expect(await streamFailure { try await near.readToEnd() } == .closed)
            #expect(await streamFailure { try await near.read(upTo: 1) } == .closed)
            near.abort()
        }
    }

    /// The other reads, too, have what is buffered and no more.
    @Test(arguments: TransportKind.prompt, Phase.allCases)
    func readsOfAStreamThatThisSideClosedReceiveNothing_J7(
        over kind: TransportKind, phase: Phase
    ) async throws {
        try await withLoop { loop in
            for read in StreamFailureTests.readKinds where read != 1 && read != 3 && read != 6 {
                let (near, far) = try await halfRead(kind, on: loop)
                try await close(near, phase, kind)
                try? await far.write("the other half\n")
                try? await far.flush()
                let code = await streamFailure { try await StreamFailureTests.read(read, near) }
                #expect(code == .closed, "read \(read)")
                #expect(try await near.read(upTo: 100) == "half".bytes)
                near.abort()
                far.abort()
            }
        }
    }

    @Test(arguments: TransportKind.prompt, Phase.allCases)
    func aReadToTheEndThatWaitsFailsWithTheClose_J6(
        over kind: TransportKind, phase: Phase
    ) async throws {
        try await withLoop { loop in
            let (near, far) = try await halfRead(kind, on: loop)
            let reading = loop.async { await streamFailure { try await near.readToEnd() } }
            try await loop.turns(until: { near.isReading })
            try await close(near, phase, kind)
            #expect(try await reading.value == .closed)
            #expect(try await near.readToEnd() == "half".bytes)
            withExtendedLifetime(far) {}
            near.abort()
        }
    }

    enum Failure: String, CaseIterable, Sendable {
        case reset, truncation, abort
    }

    /// Half of an answer is never taken for all of it; its bytes are there for other reads.
    @Test(arguments: TransportKind.promptWithReset, Failure.allCases)
    func aStreamThatFailedThrowsItsReason_J6(
        over kind: TransportKind, failure: Failure
    ) async throws {
        if failure == .truncation && !kind.isTLS { return }
        try await withLoop { loop in
            for isPending in [true, false] {
                let (near, far) = try await halfRead(kind, on: loop)
                let answers = Answers()
                if isPending { answers.ask("read", on: loop) { _ = try await near.readToEnd() } }
                try await loop.turns(5)
                switch failure {
                case .abort: near.abort()
                case .reset: far.abort()
                case .truncation:
                    let tls = try #require(far.transport as? any LayeredTransport)
                    tls.base.shutdownWrite()
                }
                try await loop.turns(until: { answers.isComplete })
                #expect(answers.texts == (isPending ? ["read": "closed"] : [:]))
                #expect(await streamFailure { try await near.readToEnd() } == .closed)
                #expect(await streamFailure { try await near.readToEnd() } == .closed)
                #expect(try await near.read(upTo: 100) == "half".bytes)
                withExtendedLifetime(far) {}
            }
        }
    }
}
