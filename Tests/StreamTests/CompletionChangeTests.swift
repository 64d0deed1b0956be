import TestSupport
import Testing
import UpdraftTLS
import UpdraftTesting

@testable import Updraft

/// Contract row J2 while something happens to the stream itself: files in between, STARTTLS, a
/// descriptor that is taken away, the end of the loop.
@Suite struct CompletionChangeTests {
    @Test(arguments: TransportKind.allCases)
    func aFileInBetweenKeepsTheOrder_J2(over kind: TransportKind) async throws {
        let file = try SparseFile(kind.surfeit)
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var order: [String] = []
            try near.enqueue("head") { _ in order.append("head") }
            loop.spawn {
                try await near.sendFile(descriptor: file.descriptor); order.append("file")
            }
            try await loop.turns(until: { near.unsentBytes > 4 })
            try near.enqueue("tail") { _ in order.append("tail") }
            try await loop.turns(20)
            #expect(order == ["head"] || (kind.isSlow && order.isEmpty))
            near.close()
            #expect(try await far.readToEnd().count == kind.surfeit + 8)
            try await loop.turns(until: { order.count == 3 })
            #expect(order == ["head", "file", "tail"])
        }
    }

    /// The stream sends what is written before, and begins TLS behind it.
    @Test(arguments: TransportKind.plain)
    func writesBeforeAndAfterStartTLSAreToldOnce_J14(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var order: [String] = []
            try near.enqueue([UInt8](repeating: 1, count: kind.surfeit)) { result in
                order.append("before \(isSuccess(result))")
                // Told of it ahead of the task that is to begin TLS.
                try near.enqueue("plain") { result in order.append("plain \(isSuccess(result))") }
            }
            let (client, server) = (try clientContext(), try serverContext())
            let upgrading = loop.async { try await near.startTLS(server: server) }
            try await loop.turns(20)
            #expect(order.isEmpty)
            #expect(try await far.read(exactly: kind.surfeit).count == kind.surfeit)
            #expect(try await far.read(exactly: 5) == "plain".bytes)
            #expect(near.tls == nil)
            try await far.startTLS(client: client, host: "localhost")
            try await upgrading.value
            try near.enqueue("secret") { result in order.append("after \(isSuccess(result))") }
            try await near.writeAndFlush("ly")
            #expect(try await far.read(exactly: 8) == "secretly".bytes)
            try await loop.turns(3)
            #expect(order == ["before true", "plain true", "after true"])
        }
    }

    /// A failed handshake closes the stream: who waits for what was sent before is told the truth.
    @Test(arguments: TransportKind.plain)
    func aFailedUpgradeAnswersWhoWaits_J14(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var results: [Bool] = []
            try near.enqueue([UInt8](repeating: 1, count: kind.surfeit)) {
                results.append(isSuccess($0))
            }
            let context = try clientContext()
            let upgrading = loop.async {
                await failure { try await near.startTLS(client: context, host: "localhost") }
            }
            try await loop.turns(10)
            far.abort()
            #expect(try await upgrading.value != nil)
            try await loop.turns(until: { !results.isEmpty })
            try await loop.turns(3)
            #expect(results == [false])
        }
    }

    @Test(arguments: [TransportKind.tcp, .unix])
    func detachIsRefusedWhileAWriteIsPendingAndTellsItOnce_J11(
        over kind: TransportKind
    ) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var results: [Bool] = []
            try near.enqueue("bytes") { results.append(isSuccess($0)) }
            #expect(await streamFailure { try near.detach().release() } == .cannotDetach)
            near.sendNow()
            // All have left; the callback has yet to run.
            #expect(results.isEmpty && !near.isWriting)
            let again = try IOStream(socket: near.detach().release(), loop: loop)
            try await loop.turns(3)
            #expect(results == [true])
            again.close()
            #expect(try await far.readToEnd() == "bytes".bytes)
        }
    }

    /// What the peer never took is told when the loop ends.
    @Test func theEndOfTheLoopAnswersWhoWaits() throws {
        let loop = try IOLoop()
        // The other end has no stream, which might be closed first.
        let (carrier, far) = MemoryTransport.pair(on: loop, capacity: 10)
        let near = try IOStream(carrier, loop: loop)
        var results: [String] = []
        let tell = { (result: Result<Void, StreamError>) in
            results.append(failure(in: result)?.message ?? "sent")
        }
        try near.enqueue("12345", onSent: tell)
        try near.enqueue("6789012345", onSent: tell)
        loop.close()
        #expect(results == ["sent", "The loop was closed."])
        withExtendedLifetime(far) {}
    }

    private static let text = "PROXY TCP4 192.0.2.7 192.0.2.1 50000 80\r\n".bytes
    private static let binary: [UInt8] =
        [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10, 0x21, 0x11, 0, 12]
        + [192, 0, 2, 7, 192, 0, 2, 1, 0xC3, 0x50, 0, 80]

    /// Cut at every byte: a second call has the header, another read the bytes.
    @Test(arguments: [text, binary])
    func aCancelledReadOfAProxyHeaderTakesNothing(header: [UInt8]) async throws {
        try await withLoop { loop in
            for cut in 1..<header.count {
                let (near, far) = try MemoryStream.pair(on: loop)
                // In two, so that it has taken a piece before the one that it waits for.
                for piece in [header[..<(cut / 2)], header[(cut / 2)..<cut]] {
                    try await near.write(Array(piece))
                    try await expectCancellation(on: loop, "header", early: false) {
                        _ = try await far.readProxyHeader()
                    }
                    #expect(far.unparsedBytes == (piece.endIndex))
                }
                if cut % 2 == 0 {
                    #expect(try await far.read(exactly: cut) == Array(header[..<cut]))
                } else {
                    try await near.write(header[cut...] + "x".bytes)
                    #expect(try await far.readProxyHeader().source?.host == "192.0.2.7")
                    #expect(try await far.read(upTo: 9) == "x".bytes)
                }
                near.close()
                far.close()
            }
        }
    }

    @Test(arguments: [TransportKind.tcp, .unix, .pipe])
    func halfAProxyHeaderIsLeftToOtherReads(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let half = Self.text.prefix(25)
            let reading = loop.spawn { _ = try? await far.readProxyHeader() }
            for byte in half {
                try await near.writeAndFlush([byte])
                try await loop.turns(2)
            }
            reading.cancel()
            await reading.value
            #expect(try await far.read(exactly: half.count) == Array(half))
            try await near.write("later")
            #expect(try await far.read(exactly: 5) == "later".bytes)
        }
    }
}
