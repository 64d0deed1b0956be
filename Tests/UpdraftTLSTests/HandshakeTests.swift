import CTestCertificates
import Glibc
import TestSupport
import Testing

@testable import UpdraftTLS

/// Who is who: verification, names, protocols. On engines, without I/O.
@Suite struct HandshakeTests {
    private func shake(
        _ client: TLSClientContext, _ server: TLSServerContext, host: String? = "localhost"
    ) throws -> (client: TLSEngine.Step, server: TLSEngine.Step) {
        try EnginePair(client, server, host: host).shakeHands()
    }

    @Test("3.2.39: the default verification rejects an unknown certificate on both ends")
    func unknownCertificatesAreRejectedOnBothEnds() throws {
        let byTheSystem = try TLSClientContext()
        for server in [TestIdentity.local, .stranger] {
            let steps = try shake(byTheSystem, serverContext([server]))
            #expect(steps.client.error == .peerNotVerified)
            #expect(steps.server.error == .alertReceived)
        }
        let client = try clientContext { $0.identity = TestIdentity.stranger.identity }
        let server = try serverContext {
            $0.clientCertificates = .required(TestIdentity.authority.trust)
        }
        let steps = try shake(client, server)
        #expect(steps.server.error == .peerNotVerified)
    }

    @Test(
        "3.2.40, 3.2.45: a matching host name or address is accepted",
        arguments: [
            "localhost", "LOCALHOST", "server.example", "server.example.", "127.0.0.1", "::1",
        ])
    func matchingHostsAreAccepted(_ host: String) throws {
        let steps = try shake(clientContext(), serverContext(), host: host)
        #expect(steps.client.isDone && steps.server.isDone)
    }

    @Test(
        "3.2.46: a mismatch is rejected",
        arguments: ["example", "other.example", "a.server.example", "127.0.0.2", "::2"])
    func mismatchesAreRejected(_ host: String) throws {
        let steps = try shake(clientContext(), serverContext(), host: host)
        #expect(steps.client.error == .peerNameMismatch)
        guard case .failed(let error) = steps.client else { return }
        #expect(error.message.contains(host))
    }

    @Test("a common name is no host name (RFC 9525, 2): only alternative names count")
    func commonNamesAreNotHostNames() throws {
        let nameless = TestIdentity("server.example", issuer: .authority)
        let steps = try shake(clientContext(), serverContext([nameless]), host: "server.example")
        #expect(steps.client.error == .peerNameMismatch)
    }

    @Test("3.2.47: the check of names can be disabled, and that of certificates")
    func checksCanBeDisabled() throws {
        let nameless = try clientContext { $0.verifiesHostName = false }
        for host in ["other.example", nil] {
            let steps = try shake(nameless, serverContext(), host: host)
            #expect(steps.client.isDone && steps.server.isDone)
        }
        #expect(try shake(nameless, serverContext([.stranger])).client.error == .peerNotVerified)
        let careless = try TLSClientContext(trust: .insecureNoVerification)
        #expect(try shake(careless, serverContext([.stranger]), host: nil).client.isDone)
        #expect(try shake(careless, serverContext([.stranger]), host: "x.example").client.isDone)
    }

    @Test func expiredCertificatesAreRejectedByTheOtherEnd() throws {
        let old = TestIdentity("old", "DNS:localhost", days: -10 ... -1, issuer: .authority)
        var identity = old.identity
        identity.acceptsExpired = true
        let server = try TLSServerContext(TLSServerOptions(identities: [identity]))
        let steps = try shake(clientContext(), server)
        #expect(steps.client.error == .peerNotVerified)
        guard case .failed(let error) = steps.client else { return }
        #expect(error.message.contains("expired"))
    }

    @Test func aSelfSignedCertificateCanBeTrustedByName() throws {
        let client = try clientContext { $0.trust = TestIdentity.stranger.trust }
        #expect(try shake(client, serverContext([.stranger])).client.isDone)
        #expect(try shake(client, serverContext([.local])).client.error == .peerNotVerified)
    }

    // MARK: Client certificates

    @Test func clientCertificatesAreNotAskedForByDefault() throws {
        let client = try clientContext { $0.identity = TestIdentity.ann.identity }
        let pair = try EnginePair(client, serverContext())
        pair.shakeHands()
        #expect(pair.server.info.peerCertificate == nil)
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func requiredClientCertificatesAreRequired(_ version: TLSVersion) throws {
        let server = try serverContext {
            $0.clientCertificates = .required(TestIdentity.authority.trust)
        }
        let without = try clientContext { $0.maximumVersion = version }
        #expect(try shake(without, server).server.error == .peerNotVerified)
        let client = try clientContext {
            $0.maximumVersion = version
            $0.identity = TestIdentity.ann.identity
        }
        let pair = try EnginePair(client, server)
        #expect(pair.shakeHands().server.isDone)
        let certificate = try #require(pair.server.info.peerCertificate)
        #expect(certificate.subject == "CN=ann" && certificate.issuer == "CN=test authority")
        #expect(certificate.dnsNames == ["ann.example"])
        #expect(
            "\(pair.server.info)".hasSuffix("certificate of CN=ann, issued by CN=test authority"))
        #expect("\(pair.client.info)".hasPrefix("\(version), \(pair.client.info.cipherSuite), "))
    }

    @Test func optionalClientCertificatesMayLackButNotLie() throws {
        let server = try serverContext {
            $0.clientCertificates = .optional(TestIdentity.authority.trust)
        }
        #expect(try shake(clientContext(), server).server.isDone)
        let ann = try clientContext { $0.identity = TestIdentity.ann.identity }
        #expect(try shake(ann, server).server.isDone)
        let liar = try clientContext { $0.identity = TestIdentity.stranger.identity }
        #expect(try shake(liar, server).server.error == .peerNotVerified)
    }

    @Test func resumedSessionsStillKnowTheClient() throws {
        let server = try serverContext {
            $0.clientCertificates = .required(TestIdentity.authority.trust)
        }
        let client = try clientContext { $0.identity = TestIdentity.ann.identity }
        for isResumed in [false, true] {
            let pair = try EnginePair(client, server)
            pair.shakeHands()
            _ = pair.carry("x".bytes, from: pair.server, to: pair.client)
            while let ticket = pair.client.takeTicket() {
                client.tickets.add(ticket, try #require(pair.client.ticketKey))
            }
            #expect(pair.server.info.isResumed == isResumed)
            #expect(pair.server.info.peerCertificate?.subject == "CN=ann")
        }
    }

    // MARK: Several names

    private static let identities = [
        TestIdentity("first", "DNS:first.example", issuer: .authority),
        TestIdentity("any", "DNS:*.any.test", issuer: .authority),
        TestIdentity("exact", "DNS:exact.any.test", issuer: .authority),
    ]

    @Test(
        "SNI: the certificate is chosen by name, exactly before by wildcard; else the first",
        arguments: [
            ("exact.any.test", "CN=exact"), ("other.any.test", "CN=any"),
            ("EXACT.any.test", "CN=exact"), ("a.b.any.test", "CN=first"),
            ("unknown.test", "CN=first"), ("127.0.0.1", "CN=first"),
        ])
    func theCertificateIsChosenByName(_ host: String, _ subject: String) throws {
        let client = try clientContext { $0.verifiesHostName = false }
        let pair = try EnginePair(client, serverContext(HandshakeTests.identities), host: host)
        pair.shakeHands()
        #expect(pair.client.info.peerCertificate?.subject == subject)
        let isAddress = host == "127.0.0.1"
        #expect(pair.server.info.serverName == (isAddress ? nil : host.lowercased()))
    }

    @Test func aNameMayHaveCertificatesWithSeveralKindsOfKeys() throws {
        let rsa = TestIdentity("rsa", "DNS:localhost", key: TC_RSA, issuer: .authority)
        let curve = TestIdentity("curve", "DNS:localhost", issuer: .authority)
        let server = try serverContext([rsa, curve])
        for (cipher, subject) in [
            ("ECDHE-RSA-AES128-GCM-SHA256", "CN=rsa"),
            ("ECDHE-ECDSA-AES128-GCM-SHA256", "CN=curve"),
        ] {
            for host in ["localhost", "unknown.example"] {
                let client = try clientContext {
                    $0.verifiesHostName = false
                    $0.maximumVersion = .tls12
                    $0.ciphers.tls12 = cipher
                }
                let pair = try EnginePair(client, server, host: host)
                pair.shakeHands()
                #expect(pair.client.info.peerCertificate?.subject == subject)
            }
        }
    }

    // MARK: ALPN

    @Test("ALPN: the server's own order decides")
    func theServersOrderOfProtocolsDecides() throws {
        let server = try serverContext { $0.applicationProtocols = ["h2", "http/1.1"] }
        let client = try clientContext { $0.applicationProtocols = ["http/1.1", "spdy", "h2"] }
        let pair = try EnginePair(client, server)
        pair.shakeHands()
        #expect(pair.client.info.applicationProtocol == "h2")
        #expect(pair.server.info.applicationProtocol == "h2")
    }

    @Test func protocolsWithoutOneInCommonEndTheHandshake() throws {
        let server = try serverContext { $0.applicationProtocols = ["h2"] }
        let client = try clientContext { $0.applicationProtocols = ["http/1.1"] }
        let steps = try shake(client, server)
        #expect(steps.client.error == .alertReceived && steps.server.error == .protocolError)
    }

    @Test func protocolsOfOneEndOnlyAreNoProtocol() throws {
        let speaking = try EnginePair(
            clientContext(), serverContext { $0.applicationProtocols = ["h2"] })
        #expect(speaking.shakeHands().client.isDone)
        #expect(speaking.server.info.applicationProtocol == nil)
        let offering = try EnginePair(
            clientContext { $0.applicationProtocols = ["h2"] }, serverContext())
        #expect(offering.shakeHands().client.isDone)
        #expect(offering.client.info.applicationProtocol == nil)
    }

    // MARK: What certificates say

    @Test func certificatesTellTheirContents() throws {
        let before = Int64(time(nil))
        let certificate = try #require(try serverContext().certificates.first)
        #expect(certificate.subject == "CN=local")
        #expect(certificate.dnsNames == ["localhost", "server.example"])
        #expect(certificate.ipAddresses == ["127.0.0.1", "0:0:0:0:0:0:0:1"])
        #expect(certificate.notAfter - certificate.notBefore == 31 * 86_400)
        #expect(certificate.notBefore < before && certificate.notAfter > before)
        #expect(certificate.der.first == 0x30 && !certificate.serialNumber.isEmpty)
    }

    @Test(
        "a certificate's names cost as much time as there are names, and the first 1,000 are told")
    func namesAreReadOnce() throws {
        func certificate(_ count: Int) throws -> TLSServerContext {
            let names = (0..<count).map { "DNS:n\($0).example" }.joined(separator: ",")
            return try serverContext([TestIdentity("many", names, issuer: .authority)])
        }
        func time(_ context: TLSServerContext) throws -> Duration {
            let pair = try EnginePair(clientContext { $0.verifiesHostName = false }, context)
            #expect(pair.shakeHands().client.isDone)
            return ContinuousClock().measure { _ = pair.client.info }
        }
        let (few, many) = (try certificate(100), try certificate(2_000))
        let names = try #require(many.certificates.first).dnsNames
        #expect(names == (0..<1_000).map { "n\($0).example" })
        let times = try (0..<5).map { _ in (few: try time(few), many: try time(many)) }
        let (short, long) = (times.map(\.few).min() ?? .zero, times.map(\.many).min() ?? .zero)
        #expect(long < short * 100, "\(long) for 2,000 names, \(short) for 100")
    }
}
