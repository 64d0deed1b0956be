import TestSupport
import Testing
import Updraft
import UpdraftTesting

@testable import UpdraftTLS

/// From plain to encrypted: J14, 3.2.38 to 47.
@Suite struct StartTLSTests {
    @Test(
        "3.2.38: STARTTLS in an SMTP-like dialogue, traffic before and after",
        arguments: TransportKind.plain)
    func upgradesInADialogue(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (client, server) = try await kind.pair(on: loop)
            let context = try serverContext()
            let serving = loop.async {
                try await server.write("220 mail.example\r\n")
                #expect(try await server.read(until: "\r\n").text == "EHLO me\r\n")
                try await server.write("250 STARTTLS\r\n")
                #expect(try await server.read(until: "\r\n").text == "STARTTLS\r\n")
                #expect(server.tls == nil)
                try await server.write("220 go ahead\r\n")
                try await server.startTLS(server: context)
                #expect(try await server.read(until: "\r\n").text == "EHLO again\r\n")
                try await server.write("250 hello\r\n")
            }
            #expect(try await client.read(until: "\r\n").text == "220 mail.example\r\n")
            try await client.write("EHLO me\r\n")
            #expect(try await client.read(until: "\r\n").text == "250 STARTTLS\r\n")
            try await client.write("STARTTLS\r\n")
            #expect(try await client.read(until: "\r\n").text == "220 go ahead\r\n")
            try await client.startTLS(client: clientContext(), host: "server.example")
            try await client.write("EHLO again\r\n")
            #expect(try await client.read(until: "\r\n").text == "250 hello\r\n")
            try await serving.value
            #expect(client.tls?.version == .tls13 && client.tls?.serverName == "server.example")
            #expect(client.tls?.peerCertificate?.subject == "CN=local")
            #expect(server.tls?.serverName == "server.example")
            client.close()
            server.close()
        }
    }

    @Test(
        "a hello that came before the server's upgrade is answered", arguments: TransportKind.plain)
    func helloMayComeBeforeTheUpgrade(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (client, server) =
                kind == .tcp ? try await unwatchedPair(on: loop) : try await kind.pair(on: loop)
            let context = try serverContext()
            try await client.beginTLS(client: clientContext(), host: "localhost")
            try await loop.turns(10)
            try await withTimeout(.seconds(5)) { try await server.startTLS(server: context) }
            try await client.waitForHandshake()
            client.close()
            server.close()
        }
    }

    /// Whose ends nobody waits for: where a poller can't tell of an end, whoever does has the
    /// stream read, and what comes is early input then.
    private nonisolated(nonsending) func unwatchedPair(
        on loop: IOLoop
    ) async throws -> (IOStream, IOStream) {
        let server = TCPServer(port: 0)
        var accepted: IOStream?
        try server.listen { stream in
            accepted = stream
            while !stream.isClosed { try await loop.nextTurn() }
        }
        let near = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
        while true {
            if let far = accepted {
                server.stop()
                return (near, far)
            }
            try await loop.nextTurn()
        }
    }

    // MARK: Bytes ahead of the handshake

    @Test("STARTTLS injection: bytes that came in with the command are an error")
    func bytesThatCameWithTheCommandAreRefused() async throws {
        try await withLoop { loop in
            let (client, server) = try await TransportKind.tcp.pair(on: loop)
            try await client.write("STARTTLS\r\nRCPT TO:<evil>\r\n")
            _ = try await server.read(until: "\r\n")
            try await server.write("220 go ahead\r\n")
            let context = try serverContext()
            let code = await tlsFailure { try await server.startTLS(server: context) }
            #expect(code == .earlyInput)
            #expect(server.isClosed)
            // Neither as plain bytes afterwards.
            let read = await failure { try await server.read(until: "\r\n") }
            #expect(read == nil || read is StreamError)
            client.abort()
        }
    }

    @Test func bytesThatWaitInTheKernelBeforeTheGoAheadAreRefused() async throws {
        try await withLoop { loop in
            let (client, server) = try await TransportKind.memory.pair(on: loop)
            try await client.write("STARTTLS\r\n")
            _ = try await server.read(until: "\r\n")
            try await client.write("RCPT TO:<evil>\r\n")
            try await client.flush()
            try await server.write("220 go ahead\r\n")
            let context = try serverContext()
            let code = await tlsFailure { try await server.startTLS(server: context) }
            #expect(code == .earlyInput && server.isClosed)
            client.abort()
        }
    }

    @Test(arguments: ["220 go\r\nevil\r\n", "220 go\r\n|evil\r\n"])
    func clientsRefuseWhatComesBehindTheGoAhead(_ script: String) async throws {
        try await withLoop { loop in
            let (client, server) = try await TransportKind.memory.pair(on: loop)
            let parts = script.split(separator: "|").map(String.init)
            try await server.write(parts[0])
            try await server.flush()
            _ = try await client.read(until: "\r\n")
            if parts.count > 1 {
                try await server.write(parts[1])
                try await server.flush()
            }
            let context = try clientContext()
            let code = await tlsFailure {
                try await client.startTLS(client: context, host: "localhost")
            }
            #expect(code == .earlyInput && client.isClosed)
            server.abort()
        }
    }

    // MARK: Streams that are not idle

    @Test(
        "J14: a stream that is not idle is refused, and stays as it is",
        arguments: TransportKind.plain)
    func busyStreamsAreRefused(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (client, server) = try await kind.pair(on: loop)
            let reading = loop.async { try await client.read(exactly: 10) }
            try await loop.nextTurn()
            let context = try clientContext()
            let whileReading = await tlsFailure {
                try await client.startTLS(client: context, host: "localhost")
            }
            #expect(whileReading == .streamBusy && !client.isClosed)
            try await server.write("still here")
            #expect(try await reading.value.text == "still here")
            client.abort()
            server.abort()
        }
    }

    @Test(arguments: TransportKind.plain)
    func streamsWithAWriterThatWaitsAreRefused(over kind: TransportKind) async throws {
        let bytes = [UInt8](repeating: 7, count: kind.surfeit)
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let writing = loop.async {
                try await near.write(bytes)
                try await near.flush()
            }
            try await loop.nextTurn()
            let context = try clientContext()
            let code = await tlsFailure {
                try await near.startTLS(client: context, host: "localhost")
            }
            #expect(code == .streamBusy && !near.isClosed)
            #expect(try await far.read(exactly: bytes.count).count == bytes.count)
            try await writing.value
            near.abort()
            far.abort()
        }
    }

    @Test func anEncryptedOrClosedStreamIsNotUpgradedAgain() async throws {
        try await withLoop { loop in
            let (near, far) = try await TransportKind.memory.securePair(on: loop)
            let (client, server) = (try clientContext(), try serverContext())
            let again = await tlsFailure { try await near.startTLS(client: client, host: "x") }
            #expect(again == .streamBusy && !near.isClosed)
            far.close()
            let closed = await failure { try await far.startTLS(server: server) }
            #expect(closed is StreamError || (closed as? TLSError)?.code == .streamBusy)
            near.close()
        }
    }

    // MARK: Waiting for the handshake

    @Test(
        "3.2.42, 3.2.43, 3.2.44: waitForHandshake is for one on the server, and later at once",
        arguments: TransportKind.plain)
    func theServerCanWaitForTheHandshake(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (client, server) = try await kind.pair(on: loop)
            try await server.beginTLS(server: serverContext())
            #expect(server.tls == nil)
            let first = loop.async { try await server.waitForHandshake() }
            try await loop.nextTurn()
            let second = await tlsFailure { try await server.waitForHandshake() }
            #expect(second == .handshakeAwaited)
            // Reads and writes wait too.
            try await server.write("early")
            try await client.startTLS(client: clientContext(), host: "localhost")
            try await first.value
            try await server.waitForHandshake()
            try await client.waitForHandshake()
            #expect(server.tls != nil)
            #expect(try await client.read(exactly: 5).text == "early")
            client.close()
            server.close()
        }
    }

    @Test func streamsWithoutTLSHaveNoHandshake() async throws {
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop)
            #expect(await tlsFailure { try await near.waitForHandshake() } == .notEncrypted)
            #expect(near.tls == nil)
            near.abort()
            far.abort()
        }
    }

    @Test(
        "3.2.39, 3.2.46: both ends learn of a rejected certificate, and the streams are closed",
        arguments: TransportKind.plain)
    func rejectionsCloseTheStreams(over kind: TransportKind) async throws {
        try await withLoop { loop in
            for (host, trust, expected) in [
                ("localhost", TLSTrust.system, TLSError.Code.peerNotVerified),
                ("other.example", TestIdentity.authority.trust, .peerNameMismatch),
            ] {
                let (client, server) = try await kind.pair(on: loop)
                let context = try serverContext()
                let accepting = loop.async {
                    await tlsFailure { try await server.startTLS(server: context) }
                }
                let trusting = try clientContext { $0.trust = trust }
                let error = await failure {
                    try await client.startTLS(client: trusting, host: host)
                }
                #expect((error as? StreamError)?.tls?.code == expected)
                #expect(client.closeReason?.tls?.code == expected)
                #expect(try await accepting.value == .alertReceived)
                try await client.closed()
                try await server.closed()
                #expect(await tlsFailure { try await client.waitForHandshake() } == expected)
            }
        }
    }

    @Test("the client of TLS 1.3 that is refused learns why, although it was done first")
    func refusedClientsLearnWhy() async throws {
        try await withLoop { loop in
            for kind in TransportKind.plain {
                let (client, server) = try await kind.pair(on: loop)
                let context = try serverContext {
                    $0.clientCertificates = .required(TestIdentity.authority.trust)
                }
                let accepting = loop.async {
                    await tlsFailure { try await server.startTLS(server: context) }
                }
                try await client.startTLS(client: clientContext(), host: "localhost")
                try await client.write([UInt8](repeating: 1, count: 10_000))
                let code = await tlsFailure { try await client.read(upTo: 10) }
                #expect(code == .alertReceived, "\(kind)")
                #expect(try await accepting.value == .peerNotVerified)
                client.abort()
            }
        }
    }

    // MARK: Time and cancellation

    @Test(
        "a peer that says nothing is given up after the handshake's timeout",
        arguments: [true, false])
    func silentPeersTimeOut(_ isServer: Bool) async throws {
        try await withVirtualLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop)
            let start = loop.now
            let (client, server) = (try clientContext(), try serverContext())
            let code = await tlsFailure {
                isServer
                    ? try await near.startTLS(server: server)
                    : try await near.startTLS(client: client, host: "localhost")
            }
            #expect(code == .handshakeTimedOut)
            #expect(loop.now >= start.advanced(by: .seconds(10)))
            #expect(near.isClosed)
            far.abort()
        }
    }

    @Test func aCancelledHandshakeClosesTheStream() async throws {
        try await withLoop { loop in
            let (near, far) = try await TransportKind.tcp.pair(on: loop)
            let context = try serverContext()
            let waiting = loop.async { try await near.startTLS(server: context) }
            try await loop.nextTurn()
            waiting.cancel()
            #expect(await failure { try await waiting.value } is CancellationError)
            try await near.closed()
            _ = await failure { try await far.readToEnd() }
            far.abort()
        }
    }

    @Test func closingDuringTheHandshakeAnswersWhoWaits() async throws {
        try await withLoop { loop in
            for isAbort in [false, true] {
                let (near, far) = try MemoryStream.pair(on: loop)
                try await near.beginTLS(client: clientContext(), host: "localhost")
                let waiting = loop.async { try await near.waitForHandshake() }
                let reading = loop.async { try await near.read(upTo: 1) }
                try await loop.nextTurn()
                if isAbort { near.abort() } else { near.close() }
                let ended = await failure { try await waiting.value } as? StreamError
                #expect(ended?.code == .closed)
                #expect(
                    (await failure { try await reading.value } as? StreamError)?.code == .closed)
                far.abort()
            }
        }
    }

    @Test func aPeerThatLeavesDuringTheHandshakeEndsIt() async throws {
        try await withLoop { loop in
            for (kind, isReset) in [
                (TransportKind.tcp, false), (.tcp, true), (.memory, false), (.memory, true),
            ] {
                let (near, far) = try await kind.pair(on: loop)
                let context = try clientContext()
                let waiting = loop.async {
                    await tlsFailure {
                        try await near.startTLS(client: context, host: "localhost")
                    }
                }
                _ = try await far.read(upTo: 10)
                if isReset { far.abort() } else { far.endWriting() }
                #expect(try await waiting.value == .handshakeFailed, "\(kind) \(isReset)")
                far.abort()
            }
        }
    }
}
