import TestSupport
import Testing

@testable import UpdraftTLS

/// The engine without I/O: J14.
@Suite struct EngineTests {
    @Test(
        "J14: two ends agree, however their bytes are cut",
        arguments: [1, 2, 3, 5, 7, 100, 1_000, Int.max], [TLSVersion.tls12, .tls13])
    func handshakesWithEveryChunking(_ chunk: Int, _ version: TLSVersion) throws {
        let pair = try EnginePair(
            clientContext { $0.maximumVersion = version },
            serverContext { $0.minimumVersion = version == .tls12 ? .tls12 : .tls13 })
        pair.chunk = { chunk }
        let steps = pair.shakeHands()
        #expect(steps.client.isDone && steps.server.isDone)
        #expect(pair.client.info.version == version && pair.server.info.version == version)
        var random = SeededGenerator(seed: UInt64(truncatingIfNeeded: chunk))
        for count in chunk < 10 ? [1, 100, 16_385] : [1, 100, 16_384, 16_385, 70_000] {
            let bytes = random.bytes(count)
            #expect(pair.carry(bytes, from: pair.client, to: pair.server) == bytes)
            #expect(pair.carry(bytes, from: pair.server, to: pair.client) == bytes)
        }
    }

    @Test func handshakesWithRandomChunks() throws {
        for seed in UInt64(1)...20 {
            let pair = try EnginePair(clientContext(), serverContext())
            var random = SeededGenerator(seed: seed)
            pair.chunk = { 1 + Int(random.next() % 700) }
            let steps = pair.shakeHands()
            #expect(steps.client.isDone && steps.server.isDone, "seed \(seed)")
            let bytes = "hello \(seed)".bytes
            #expect(pair.carry(bytes, from: pair.client, to: pair.server) == bytes, "\(seed)")
        }
    }

    @Test func applicationBytesBehindTheLastHandshakeMessageAreKept() throws {
        let pair = try EnginePair(
            clientContext { $0.maximumVersion = .tls12 }, serverContext())
        let steps = pair.shakeHands()
        #expect(steps.server.isDone)
        // Several records in one piece, read through a small buffer.
        for number in 0..<3 {
            let record = [UInt8](repeating: UInt8(number), count: 2_500)
            _ = record.withUnsafeBytes { pair.client.write($0) }
        }
        #expect(pair.drain(pair.server).plain.count == 7_500)
    }

    @Test("what is to be sent is bounded: then the same bytes are taken later")
    func whatIsToBeSentIsBounded() throws {
        let pair = try EnginePair(clientContext(), serverContext())
        pair.shakeHands()
        var random = SeededGenerator(seed: 11)
        let bytes = random.bytes(300_000)
        var rest = bytes[...]
        var received: [UInt8] = []
        var waits = 0
        while !rest.isEmpty {
            let (step, count) = rest.withUnsafeBytes { pair.client.write($0) }
            rest = rest.dropFirst(count)
            #expect(pair.client.outputCount < 65_536 + 16_384 + 100)
            guard case .wantsRoom = step else { continue }
            #expect(count == 0)
            waits += 1
            received += pair.drain(pair.server).plain
        }
        received += pair.drain(pair.server).plain
        #expect(received == bytes && waits > 2)
    }

    @Test func closeNotifyEndsOneDirectionOnly() throws {
        let pair = try EnginePair(clientContext(), serverContext())
        pair.shakeHands()
        #expect(pair.client.end())
        guard case .ended = pair.drain(pair.server).last else {
            Issue.record("the end was not seen")
            return
        }
        #expect(pair.carry("bye".bytes, from: pair.server, to: pair.client) == "bye".bytes)
    }

    @Test func whatIsNotTLSFailsAndIsAnsweredWithAnAlert() throws {
        let server = try serverContext().makeEngine()
        let step = "GET / HTTP/1.1\r\n\r\n".bytes.withUnsafeBytes { server.handshake($0) }
        #expect(step.error == .protocolError)
        // The failure is for good.
        #expect(server.handshake(.init(start: nil, count: 0)).error == .protocolError)
    }

    @Test func aChangedByteFailsTheConnection() throws {
        let pair = try EnginePair(clientContext(), serverContext())
        pair.shakeHands()
        var record: [UInt8] = []
        _ = "secret".bytes.withUnsafeBytes { pair.client.write($0) }
        pair.client.withOutput {
            record += $0
            return $0.count
        }
        record[record.count - 3] ^= 1
        var plain = [UInt8](repeating: 0, count: 100)
        let result = record.withUnsafeBytes { record in
            plain.withUnsafeMutableBytes { pair.server.read(record, into: $0) }
        }
        #expect(result.step.error == .protocolError && result.count == 0)
        #expect(pair.server.hasOutput, "the alert")
    }

    @Test("2.2, CRIME: nothing older than TLS 1.2, no compression, forward secrecy")
    func onlyStrongCiphersAreAgreed() throws {
        let pair = try EnginePair(
            clientContext { $0.maximumVersion = .tls12 }, serverContext())
        pair.shakeHands()
        #expect(pair.client.info.cipherSuite == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
    }

    @Test func versionsWithoutOneInCommonAreRefused() throws {
        let pair = try EnginePair(
            clientContext { $0.maximumVersion = .tls12 },
            serverContext { $0.minimumVersion = .tls13 })
        let steps = pair.shakeHands()
        #expect(steps.server.error == .protocolError && steps.client.error == .alertReceived)
    }

    @Test func ticketsOfTLS13AreUsedOnceAndResumeTheSession() throws {
        let (client, server) = (try clientContext(), try serverContext())
        func connect() throws -> Bool {
            let pair = try EnginePair(client, server)
            pair.shakeHands()
            _ = pair.carry("x".bytes, from: pair.server, to: pair.client)
            while let ticket = pair.client.takeTicket() {
                client.tickets.add(ticket, try #require(pair.client.ticketKey))
            }
            #expect(pair.client.info.isResumed == pair.server.info.isResumed)
            return pair.client.info.isResumed
        }
        #expect(try !connect())
        #expect(try connect())
        #expect(try connect())
        // New keys: old tickets are worth nothing.
        try server.reload()
        #expect(try !connect())
    }

    @Test func ticketsOfTLS12ResumeTheSessionAgainAndAgain() throws {
        let client = try clientContext { $0.maximumVersion = .tls12 }
        let server = try serverContext()
        func connect() throws -> Bool {
            let pair = try EnginePair(client, server)
            #expect(pair.shakeHands().client.isDone)
            _ = pair.carry("x".bytes, from: pair.server, to: pair.client)
            while let ticket = pair.client.takeTicket() {
                #expect(!ticket.isSingleUse)
                client.tickets.add(ticket, try #require(pair.client.ticketKey))
            }
            #expect(pair.client.info.version == .tls12)
            #expect(pair.client.info.isResumed == pair.server.info.isResumed)
            return pair.client.info.isResumed
        }
        #expect(try !connect())
        for _ in 0..<3 { #expect(try connect()) }
        try server.reload()
        #expect(try !connect())
    }

    @Test("a ticket is a copy: a connection that fails does not change those of others")
    func ticketsAreCopies() throws {
        let (client, server) = (
            try clientContext { $0.maximumVersion = .tls12 }, try serverContext()
        )
        let first = try EnginePair(client, server)
        first.shakeHands()
        let ticket = try #require(first.client.takeTicket())
        client.tickets.add(ticket, try #require(first.client.ticketKey))
        // Both the one that it came from and one that uses it fail.
        let second = try EnginePair(client, server)
        second.shakeHands()
        #expect(second.client.info.isResumed)
        for engine in [first.client, second.client] {
            _ = engine.read("this is no record at all".bytes)
            #expect(engine.handshake([]).error == .protocolError)
        }
        let third = try EnginePair(client, server)
        third.shakeHands()
        #expect(third.client.info.isResumed)
    }

    @Test func serversWithoutTicketsDoNotResume() throws {
        let client = try clientContext()
        let server = try serverContext { $0.resumesSessions = false }
        for _ in 0..<2 {
            let pair = try EnginePair(client, server)
            pair.shakeHands()
            _ = pair.carry("x".bytes, from: pair.server, to: pair.client)
            #expect(pair.client.takeTicket() == nil)
            #expect(!pair.client.info.isResumed)
        }
    }

    @Test func theTicketCacheIsBounded() throws {
        let (client, server) = (try clientContext(), try serverContext())
        let pair = try EnginePair(client, server)
        pair.shakeHands()
        _ = pair.carry("x".bytes, from: pair.server, to: pair.client)
        let ticket = try #require(pair.client.takeTicket())
        let cache = TicketCache()
        for number in 0...TicketCache.serversMax { cache.add(ticket, "\(number)") }
        #expect(cache.take("0") == nil && cache.take("1") != nil)
        for _ in 0..<10 { cache.add(ticket, "many") }
        for _ in 0..<TicketCache.ticketsMax { #expect(cache.take("many") != nil) }
        #expect(cache.take("many") == nil)
    }
}
