import TestSupport
import Testing
import Updraft
import UpdraftTesting

@testable import UpdraftTLS

/// A connection that is cut, told apart from one that has ended, whatever carries it and however
/// the last bytes fill what they are received into. Contract rows J14, J16.
@Suite struct PipeEndTests {
    /// A record adds 22 bytes to up to 16,384. The last of these are as many records as fill what
    /// they are received into, so that the end of the connection is only met behind them.
    private static let counts = [1, 16_384, 131_072, TLSTransport.readChunk - 4 * 22]

    @Test(arguments: [TransportKind.memory, .tcp, .unix, .pipe], [false, true])
    func aCutIsNeverTheEnd_J16(over kind: TransportKind, afterOwnEnd: Bool) async throws {
        for count in Self.counts {
            try await withLoop { loop in
                // The reader has its next turn behind whatever else was told of the end.
                loop.limits.streamBytesMax = count
                let (client, server) = try await kind.securePair(on: loop)
                if afterOwnEnd {
                    server.endWriting()
                    #expect(try await client.readToEnd() == [])
                }
                // A pipe holds 64 KiB: the rest leaves while the other end reads.
                loop.spawn {
                    try await client.writeAndFlush([UInt8](repeating: 7, count: count))
                    (client.transport as? TLSTransport)?.base.shutdownWrite()
                }
                try await loop.turns(5)
                #expect(await tlsFailure { try await server.readToEnd() } == .truncated)
                #expect(try await server.read(exactly: count).count == count)
                client.abort()
            }
        }
    }
}
