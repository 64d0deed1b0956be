import CTestCertificates
import Glibc
import TestSupport
import Testing

@testable import UpdraftTLS

/// A folder for a test's files, removed with the object.
final class TestFolder {
    let path: String

    init() {
        var template = Array("/tmp/updraft-tls-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil)
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit {
        for name in names { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    private var names: [String] = []

    func write(_ text: String, to name: String) -> String {
        let file = "\(path)/\(name)"
        names.append(name)
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        precondition(descriptor >= 0)
        precondition(Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count)
        Glibc.close(descriptor)
        return file
    }
}

/// What is wrong with a configuration is said when it is made (contract part 2, `ssl_options`).
@Suite struct ConfigurationTests {
    private func context(_ certificate: PEMSource, _ key: PEMSource) throws {
        _ = try TLSServerContext(certificate: certificate, privateKey: key)
    }

    @Test("ssl_options: a missing file is an error at construction, which names it")
    func missingFilesAreNamed() throws {
        let folder = TestFolder()
        let certificate = folder.write(TestIdentity.local.certificate, to: "server.pem")
        let key = folder.write(TestIdentity.local.key, to: "server.key")
        try context(.file(certificate), .file(key))
        let nowhere = "\(folder.path)/nowhere.pem"
        let noCertificate = try #require(refusal { try context(.file(nowhere), .file(key)) })
        #expect(noCertificate.code == .unreadableFile && noCertificate.message.contains(nowhere))
        #expect(noCertificate.message.contains("No such file"))
        let noKey = try #require(refusal { try context(.file(certificate), .file(nowhere)) })
        #expect(noKey.code == .unreadableFile && noKey.message.contains(nowhere))
        let noTrust = try #require(
            refusal { try TLSClientContext(trust: .certificates(.file(nowhere))) })
        #expect(noTrust.code == .unreadableFile && noTrust.message.contains(nowhere))
    }

    @Test func filesWithoutWhatShouldBeInThemAreNamed() throws {
        let folder = TestFolder()
        let certificate = folder.write(TestIdentity.local.certificate, to: "server.pem")
        let empty = folder.write("", to: "empty.pem")
        let cut = folder.write(String(TestIdentity.local.certificate.dropLast(80)), to: "cut.pem")
        for file in [empty, cut] {
            let error = try #require(
                refusal { try context(.file(file), .text(TestIdentity.local.key)) })
            #expect(error.code == .invalidCertificate && error.message.contains(file))
            let trust = try #require(
                refusal { try TLSClientContext(trust: .certificates(.file(file))) })
            #expect(trust.code == .invalidCertificate && trust.message.contains(file))
        }
        let noKey = try #require(refusal { try context(.file(certificate), .file(certificate)) })
        #expect(noKey.code == .invalidKey && noKey.message.contains(certificate))
    }

    @Test func oneFileMayHoldBothAndAChain() throws {
        let text =
            TestIdentity.local.certificate + TestIdentity.authority.certificate
            + TestIdentity.local.key
        try context(.text(text), .text(text))
        try context(.bytes(text.bytes), .bytes(text.bytes))
    }

    @Test func aKeyOfAnotherCertificateIsRefused() throws {
        let error = try #require(
            refusal {
                try context(.text(TestIdentity.local.certificate), .text(TestIdentity.ann.key))
            })
        #expect(error.code == .keyMismatch)
        #expect(!error.message.contains("BEGIN"), "no secrets in messages")
    }

    @Test func encryptedKeysNeedTheirPassword() throws {
        let locked = TestIdentity("locked", password: "open sesame")
        var identity = locked.identity
        func code() -> TLSError.Code? {
            refusal { try TLSServerContext(TLSServerOptions(identities: [identity])) }?.code
        }
        #expect(code() == .passwordNeeded)
        identity.password = "open says me"
        #expect(code() == .wrongPassword)
        identity.password = "open sesame"
        #expect(code() == nil)
    }

    @Test func certificatesOutOfTheirTimeAreRefusedUnlessAllowed() throws {
        for days in [-10 ... -1, 1...10] {
            let old = TestIdentity("old", days: days)
            var identity = old.identity
            let error = try #require(
                refusal { try TLSServerContext(TLSServerOptions(identities: [identity])) })
            #expect(error.code == .certificateExpired)
            identity.acceptsExpired = true
            _ = try TLSServerContext(TLSServerOptions(identities: [identity]))
        }
    }

    @Test func weakKeysAreRefused() throws {
        let weak = TestIdentity("weak", key: TC_RSA_SHORT)
        let error = try #require(refusal { try serverContext([weak]) })
        #expect(error.code == .invalidConfiguration && error.message.contains("key too small"))
    }

    @Test func impossibleSettingsAreRefused() throws {
        let impossible: [(inout TLSServerOptions) -> Void] = [
            { $0.identities = [] },
            { $0.ciphers.tls12 = "NONSENSE" },
            { $0.ciphers.tls13 = "NONSENSE" },
            { $0.ciphers.groups = "NONSENSE" },
            { $0.applicationProtocols = [""] },
            { $0.applicationProtocols = [String(repeating: "x", count: 256)] },
            {
                $0.minimumVersion = .tls13; $0.maximumVersion = .tls12
            },
            { $0.clientCertificates = .required(.insecureNoVerification) },
            { $0.clientCertificates = .optional(.insecureNoVerification) },
        ]
        for (number, change) in impossible.enumerated() {
            let error = refusal { try serverContext([.local], change) }
            #expect(error?.code == .invalidConfiguration, "number \(number)")
        }
    }

    @Test func impossibleHostNamesAreRefused() throws {
        let context = try clientContext()
        // A leading dot would be any host of that domain to OpenSSL.
        for host in [
            "", ".", "..", ".example", ".example.com.", "a..example", "a..", "a b", "ä.example",
            "a\0b", "<", String(repeating: "a", count: 254),
        ] {
            let error = refusal { try context.makeEngine(host: host, place: "") }
            #expect(error?.code == .invalidConfiguration, "\(host)")
        }
        #expect(refusal { try context.makeEngine(host: nil, place: "") } != nil)
        #expect(try HostName("Server.Example.").text == "server.example")
        #expect(try HostName("::1").isAddress && HostName("fe80::1%eth0").text == "fe80::1")
    }

    /// In a process of its own: the environment is everybody's.
    @Test func aSystemThatTrustsNobodyIsAnErrorAtConstruction() async {
        await #expect(processExitsWith: .success) {
            let folder = TestFolder()
            func refusal(file: String, folders: String) -> TLSError? {
                setenv("SSL_CERT_FILE", file, 1)
                setenv("SSL_CERT_DIR", folders, 1)
                return UpdraftTLSTests.refusal { try TLSClientContext() }
            }
            let nothing = refusal(file: "/nowhere.pem", folders: "/nowhere")
            precondition(nothing?.code == .invalidConfiguration)
            precondition(nothing?.message.contains("/nowhere.pem nor in /nowhere") == true)
            let text = TestIdentity.authority.certificate
            let file = folder.write(text, to: "certificates.pem")
            precondition(refusal(file: "/nowhere.pem", folders: folder.path) != nil)
            precondition(refusal(file: file, folders: "/nowhere") == nil)
            _ = folder.write(text, to: "5ed36f99.0")
            precondition(refusal(file: "/nowhere.pem", folders: "/nowhere:\(folder.path)") == nil)
            withExtendedLifetime(folder) {}
        }
    }

    @Test func reloadTakesWhatIsInTheFilesNowOrChangesNothing() throws {
        let folder = TestFolder()
        let first = TestIdentity("first", "DNS:localhost", issuer: .authority)
        let second = TestIdentity("second", "DNS:localhost", issuer: .authority)
        let file = folder.write(first.certificate + first.key, to: "server.pem")
        let server = try TLSServerContext(certificate: .file(file), privateKey: .file(file))
        func subject() throws -> String? {
            let pair = try EnginePair(clientContext(), server)
            pair.shakeHands()
            return pair.client.info.peerCertificate?.subject
        }
        #expect(try subject() == "CN=first")
        // An open connection goes on with the old ones.
        let open = try EnginePair(clientContext(), server)
        open.shakeHands()
        _ = folder.write(second.certificate + second.key, to: "server.pem")
        #expect(try subject() == "CN=first")
        try server.reload()
        #expect(try subject() == "CN=second")
        #expect(server.certificates.map(\.subject) == ["CN=second"])
        #expect(open.carry("on".bytes, from: open.client, to: open.server) == "on".bytes)
        _ = folder.write("broken", to: "server.pem")
        #expect(refusal { try server.reload() }?.code == .invalidCertificate)
        #expect(try subject() == "CN=second")
    }
}
