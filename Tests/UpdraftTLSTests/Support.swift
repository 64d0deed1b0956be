import CTestCertificates
import Glibc
import Updraft
import UpdraftTesting

@testable import UpdraftTLS

/// A certificate with its key, as PEM texts: made anew in each run, for tests only.
struct TestIdentity: Sendable {
    let certificate: String
    let key: String

    /// - Parameters:
    ///   - names: As in `DNS:a.example,IP:127.0.0.1`.
    ///   - days: When it is valid, in days from now.
    ///   - issuer: Who signs it; itself if nil.
    init(
        _ commonName: String, _ names: String? = nil, days: ClosedRange<Int> = -1...30,
        isAuthority: Bool = false, key: tc_key = TC_EC, password: String? = nil,
        issuer: TestIdentity? = nil
    ) {
        let pair = commonName.withCString { commonName in
            withOptionalCString(names) { names in
                withOptionalCString(password) { password in
                    var request = tc_request(
                        common_name: commonName, names: names, first_day: Int32(days.lowerBound),
                        last_day: Int32(days.upperBound), is_authority: isAuthority, key: key,
                        password: password)
                    guard let issuer else { return tc_make(&request, nil) }
                    var issuing = tc_pair(
                        certificate: strdup(issuer.certificate), key: strdup(issuer.key))
                    defer { tc_free(issuing) }
                    return tc_make(&request, &issuing)
                }
            }
        }
        defer { tc_free(pair) }
        certificate = String(cString: pair.certificate)
        self.key = String(cString: pair.key)
    }

    var identity: TLSIdentity {
        TLSIdentity(certificate: .text(certificate), privateKey: .text(key))
    }

    var trust: TLSTrust { .certificates(.text(certificate)) }

    /// Who signs the others.
    static let authority = TestIdentity("test authority", isAuthority: true)
    /// A server's.
    static let local = TestIdentity(
        "local", "DNS:localhost,DNS:server.example,IP:127.0.0.1,IP:::1", issuer: authority)
    /// A client's.
    static let ann = TestIdentity("ann", "DNS:ann.example", issuer: authority)
    /// Somebody whom nobody knows.
    static let stranger = TestIdentity("stranger", "DNS:localhost,DNS:server.example")
}

func serverContext(
    _ identities: [TestIdentity] = [.local], _ change: (inout TLSServerOptions) -> Void = { _ in }
) throws -> TLSServerContext {
    var options = TLSServerOptions(identities: identities.map(\.identity))
    change(&options)
    return try TLSServerContext(options)
}

func clientContext(
    _ change: (inout TLSClientOptions) -> Void = { _ in }
) throws -> TLSClientContext {
    var options = TLSClientOptions()
    options.trust = TestIdentity.authority.trust
    change(&options)
    return try TLSClientContext(options)
}

/// What `body` throws, or nil.
nonisolated(nonsending) func failure<R>(
    of body: nonisolated(nonsending) () async throws -> R
) async -> (any Error)? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

/// The kind of TLS error that `body` throws, be it inside a stream's; nil if it throws none.
nonisolated(nonsending) func tlsFailure<R>(
    of body: nonisolated(nonsending) () async throws -> R
) async -> TLSError.Code? {
    let error = await failure(of: body)
    return (error as? TLSError)?.code ?? (error as? StreamError)?.tls?.code
}

/// The TLS error that making a context throws.
func refusal<R>(of body: () throws -> R) -> TLSError? {
    do {
        _ = try body()
        return nil
    } catch {
        return error as? TLSError
    }
}

extension String {
    var bytes: [UInt8] { Array(utf8) }
}

extension [UInt8] {
    var text: String { String(decoding: self, as: UTF8.self) }
}

/// Random numbers that come again with the same seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}

/// Two engines, with the bytes between them in the test's hands.
final class EnginePair {
    let client: TLSEngine
    let server: TLSEngine
    private var toServer: ArraySlice<UInt8> = []
    private var toClient: ArraySlice<UInt8> = []
    /// How many bytes to carry over at once.
    var chunk: () -> Int = { Int.max }

    init(
        _ clientContext: TLSClientContext, _ serverContext: TLSServerContext,
        host: String? = "localhost"
    ) throws {
        client = try clientContext.makeEngine(host: host, place: "")
        server = try serverContext.makeEngine()
    }

    /// Carries bytes over and lets both ends take handshake steps until neither can go on.
    @discardableResult
    func shakeHands() -> (client: TLSEngine.Step, server: TLSEngine.Step) {
        var steps = (
            client: client.handshake(.init(start: nil, count: 0)), server: TLSEngine.Step.wantsInput
        )
        collect()
        while !toServer.isEmpty || !toClient.isEmpty {
            if !toServer.isEmpty {
                steps.server = EnginePair.carry(&toServer, chunk()) { server.handshake($0) }
            }
            collect()
            if !toClient.isEmpty {
                steps.client = EnginePair.carry(&toClient, chunk()) { client.handshake($0) }
            }
            collect()
        }
        return steps
    }

    /// Encrypts at one end, carries over, and decrypts at the other.
    func carry(_ bytes: [UInt8], from: TLSEngine, to: TLSEngine) -> [UInt8] {
        var rest = bytes[...]
        var plain: [UInt8] = []
        while !rest.isEmpty {
            rest = rest.dropFirst(rest.withUnsafeBytes { from.write($0).count })
            collect()
            plain += drain(to).plain
        }
        return plain
    }

    /// Decrypts all that was carried to an engine.
    func drain(_ engine: TLSEngine) -> (plain: [UInt8], last: TLSEngine.Step) {
        collect()
        var plain: [UInt8] = []
        var last = TLSEngine.Step.wantsInput
        var buffer = [UInt8](repeating: 0, count: 1_000)
        repeat {
            let read = { (input: UnsafeRawBufferPointer) in
                buffer.withUnsafeMutableBytes { engine.read(input, into: $0) }
            }
            let result =
                engine.hasUnread
                ? read(.init(start: nil, count: 0))
                : engine === server
                    ? EnginePair.carry(&toServer, chunk(), read)
                    : EnginePair.carry(&toClient, chunk(), read)
            plain += buffer[..<result.count]
            last = result.step
            if case .ended = last { break }
            if case .failed = last { break }
        } while engine.hasUnread || !(engine === server ? toServer : toClient).isEmpty
        return (plain, last)
    }

    private func collect() {
        client.withOutput {
            toServer += $0
            return $0.count
        }
        server.withOutput {
            toClient += $0
            return $0.count
        }
    }

    private static func carry<R>(
        _ bytes: inout ArraySlice<UInt8>, _ count: Int, _ body: (UnsafeRawBufferPointer) -> R
    ) -> R {
        let part = bytes.prefix(count)
        bytes = bytes.dropFirst(part.count)
        return part.withUnsafeBytes(body)
    }
}

extension TLSEngine.Step {
    var isDone: Bool {
        if case .done = self { return true }
        return false
    }

    var error: TLSError.Code? {
        if case .failed(let error) = self { return error.code }
        return nil
    }
}
