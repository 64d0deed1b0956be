import TestSupport
import Updraft

@testable import UpdraftTLS

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

extension TLSEngine {
    func handshake(_ input: [UInt8]) -> Step {
        input.withUnsafeBytes { handshake($0) }
    }

    /// What the handshake has to say to that.
    func answer(to input: [UInt8]) -> [UInt8] {
        _ = handshake(input)
        return takeOutput()
    }

    /// What was encrypted, at most 1,000 bytes of it.
    func read(_ input: [UInt8]) -> [UInt8] {
        var plain = [UInt8](repeating: 0, count: 1_000)
        let count = input.withUnsafeBytes { input in
            plain.withUnsafeMutableBytes { read(input, into: $0).count }
        }
        return Array(plain[..<count])
    }

    func write(_ plain: [UInt8]) -> Step {
        plain.withUnsafeBytes { write($0).step }
    }

    func takeOutput() -> [UInt8] {
        var bytes: [UInt8] = []
        while hasOutput {
            withOutput {
                bytes += $0
                return $0.count
            }
        }
        return bytes
    }
}
