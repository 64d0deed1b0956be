import TestSupport
import Testing
import Updraft
import UpdraftTLS
import UpdraftTesting

/// A reset by the peer in each state that a stream can be in, over real sockets and in memory: each
/// who waits is answered once, and nothing stays.
@Suite struct FaultResetTests {
    enum State: String, CaseIterable, Sendable {
        case reading, writing, sendingAFile
        /// `close` was called, with bytes unsent and with all of them sent.
        case closing, lingering
        /// `endWriting` was called, the same two ways.
        case ending, ended
    }

    /// Those that tell the peer of an `abort`, and Unix sockets, which do so if bytes were left
    /// unread in them: they are here.
    private static let kinds = TransportKind.allCases.filter { $0 != .pipe }

    @Test("reset in every state", arguments: kinds, State.allCases)
    func aResetAnswersEveryWaiterOnceInEveryState(
        over kind: TransportKind, state: State
    ) async throws {
        let surfeit = [UInt8](repeating: 1, count: kind.surfeit)
        let file = try SparseFile(kind.surfeit)
        try await withLoop { loop in
            try await expectNoGrowth(on: loop) {
                let (near, far) = try await kind.pair(on: loop)
                let answers = Answers()
                var calls = 0
                near.onClose { calls += 1 }
                // Stays unread.
                try await near.write("x")
                try await near.flush()
                try await bring(near, to: state, answers, surfeit, file)
                try await loop.turns(5)
                #expect(near.closeReason == nil && !answers.isComplete && calls == 0)
                far.abort()
                try await near.closed()
                try await loop.turns(until: { answers.isComplete && calls > 0 })
                try await loop.turns(3)
                for (name, answer) in answers.texts {
                    #expect(answer == (name.hasPrefix("closed") ? "value" : "closed"), "\(name)")
                }
                #expect(calls == 1)
                #expect((near.closeReason?.cause as? SystemError)?.isDisconnect == true)
            }
        }
    }

    private nonisolated(nonsending) func bring(
        _ near: IOStream, to state: State, _ answers: Answers, _ surfeit: [UInt8],
        _ file: SparseFile
    ) async throws {
        let loop = near.loop
        for number in 0..<2 {
            answers.ask("closed \(number)", on: loop) { try await near.closed() }
        }
        switch state {
        case .sendingAFile:
            answers.ask("file", on: loop) { try await near.sendFile(descriptor: file.descriptor) }
            try await loop.turns(until: { near.isWriting })
        case .writing, .closing, .ending: try near.enqueue(surfeit)
        case .reading, .ended, .lingering: break
        }
        if near.isWriting {
            for number in 0..<2 {
                answers.ask("flush \(number)", on: loop) { try await near.flush() }
            }
        }
        switch state {
        case .closing: near.close()
        case .lingering: near.close(lingering: .seconds(3_600))
        case .reading, .writing, .sendingAFile, .ending, .ended:
            answers.ask("read", on: loop) { _ = try await near.read(exactly: 9) }
            if state == .ending || state == .ended { near.endWriting() }
        }
    }

    /// A server that has refused a handshake lets its peer read why, for a while.
    @Test("reset while TLS closes", arguments: [TransportKind.memory, .tcp, .unix])
    func aResetEndsTheClosingOfTLS(over kind: TransportKind) async throws {
        let context = try serverContext()
        // No time passes: it is not the closing's own limit that ends it.
        try await withVirtualLoop { loop in
            let start = loop.now
            try await expectNoGrowth(on: loop, times: 20) {
                let held = openChannels()
                let (near, far) = try await kind.pair(on: loop)
                try await near.beginTLS(server: context)
                try await far.write("GET / HTTP/1.0\r\n\r\n")
                let error = await failure { try await near.waitForHandshake() }
                #expect((error as? StreamError)?.tls?.code == .protocolError)
                #expect(near.closeReason != nil)
                if kind != .memory { #expect(openChannels() == held + 2) }
                far.abort()
                try await loop.turns(10)
                #expect(openChannels() == held && loop.now == start)
            }
        }
    }
}
