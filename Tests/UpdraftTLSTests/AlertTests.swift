import TestSupport
import Testing
import Updraft
import UpdraftTesting

@testable import UpdraftTLS

/// Peers that say why they refuse and leave at once, so that the reset comes with the reason.
@Suite struct AlertTests {
    /// Fatal: unknown_ca.
    private static let alert: [UInt8] = [21, 3, 3, 0, 2, 2, 48]

    @Test("an alert that comes together with the reset is the cause", arguments: [true, false])
    func anAlertWithTheResetIsTheCause(_ isServer: Bool) async throws {
        try await withLoop { loop in
            let (near, far) = try await TransportKind.tcp.pair(on: loop)
            let (client, server) = (try clientContext(), try serverContext())
            let upgrading = loop.async {
                await tlsFailure {
                    isServer
                        ? try await near.startTLS(server: server)
                        : try await near.startTLS(client: client, host: "localhost")
                }
            }
            if isServer {
                let engine = try client.makeEngine(host: "localhost", place: "")
                try await far.write(engine.answer(to: []))
            }
            _ = try await far.read(upTo: 10)
            try far.enqueue(AlertTests.alert)
            far.sendNow()
            far.abort()
            #expect(try await upgrading.value == .alertReceived)
        }
    }

    @Test func aSendThatFailsLooksForTheAlertFirst() async throws {
        try await withLoop { loop in
            let (left, right) = MemoryTransport.pair(on: loop)
            let failing = ScriptedTransport(over: left, on: loop)
            let near = try IOStream(failing, loop: loop)
            let far = try IOStream(right, loop: loop)
            let hello = try clientContext().makeEngine(host: "localhost", place: "")
            let bytes = hello.answer(to: [])
            try far.enqueue(bytes + AlertTests.alert)
            failing.reads = [.atMost(bytes.count)]
            failing.writes = [.fail(SystemError(errno: 104, operation: "send"))]
            let context = try serverContext { $0.maximumVersion = .tls12 }
            #expect(await tlsFailure { try await near.startTLS(server: context) } == .alertReceived)
            far.abort()
        }
    }

    @Test("a failure of this side's own is told, also if the alert for the peer can't be sent")
    func aRefusalThatCannotBeSentIsTheCause() async throws {
        try await withLoop { loop in
            let (left, right) = MemoryTransport.pair(on: loop)
            let failing = ScriptedTransport(over: left, on: loop)
            let near = try IOStream(failing, loop: loop)
            let far = try IOStream(right, loop: loop)
            let hello = try clientContext { $0.maximumVersion = .tls12 }
                .makeEngine(host: "localhost", place: "")
            try far.enqueue(hello.answer(to: []))
            failing.everyWrite = .fail(SystemError(errno: 104, operation: "send"))
            let context = try serverContext { $0.minimumVersion = .tls13 }
            #expect(await tlsFailure { try await near.startTLS(server: context) } == .protocolError)
            far.abort()
        }
    }

    @Test(
        "a client of TLS 1.3 is done when it is refused: its reads have the cause, reader or none",
        arguments: [true, false])
    func refusalsAfterTheHandshakeAreTheCause(_ hasReader: Bool) async throws {
        try await withLoop { loop in
            let (near, far) = try await TransportKind.tcp.pair(on: loop)
            let refusing = try serverContext {
                $0.clientCertificates = .required(TestIdentity.authority.trust)
            }.makeEngine()
            let context = try clientContext()
            let upgrading = loop.async {
                try await near.startTLS(client: context, host: "localhost")
            }
            try await far.write(refusing.answer(to: far.read(upTo: 65_536)))
            try await upgrading.value
            let alert = refusing.answer(to: try await far.read(upTo: 65_536))
            let reading = hasReader ? loop.async { try await near.read(upTo: 1) } : nil
            try await loop.turns(2)
            try far.enqueue(alert)
            far.sendNow()
            far.abort()
            try await near.closed()
            if let reading {
                #expect(await tlsFailure { try await reading.value } == .alertReceived)
            }
            #expect(near.closeReason?.tls?.code == .alertReceived)
        }
    }
}
