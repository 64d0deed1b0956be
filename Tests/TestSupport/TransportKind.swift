import Glibc
package import Updraft
package import UpdraftTLS
import UpdraftTesting

/// What may carry a stream: every behaviour of streams holds over each.
package enum TransportKind: String, CaseIterable, Sendable, CustomStringConvertible {
    /// Memory, with the bounded buffers, the half-close and the reset of a socket.
    case memory
    /// Memory that gives and takes a few bytes at a time and often nothing.
    case trickle
    case tcp
    case unix
    /// Two pipes, one in each direction.
    case pipe
    case tls
    case tlsOverMemory
    case tlsOverTrickle

    package var description: String { rawValue }

    /// What carries the bytes beneath TLS; itself without.
    package var base: TransportKind {
        switch self {
        case .tls: .tcp
        case .tlsOverMemory: .memory
        case .tlsOverTrickle: .trickle
        default: self
        }
    }

    package var isTLS: Bool { base != self }

    /// Whether bytes come and go a few at a time, so that a test should make do with few.
    package var isSlow: Bool { base == .trickle }

    /// Without those that take their time.
    package static let prompt = allCases.filter { !$0.isSlow }

    /// Those that can tell the peer of an `abort`. A pipe only ends; so does a Unix socket, unless
    /// bytes were left unread in it.
    package static let withReset = allCases.filter { $0 != .pipe && $0 != .unix }

    /// Those of them that hold nothing back: what came before a reset is there when it comes.
    package static let promptWithReset = withReset.filter { !$0.isSlow }

    /// So many bytes that they don't all fit between two ends.
    package var surfeit: Int {
        if base == .tcp { return 9_000_000 }
        return isSlow ? 300_000 : 1_000_000
    }

    /// Those that can carry STARTTLS: everything that is not TLS itself.
    package static let plain = allCases.filter { !$0.isTLS }

    /// Those with TLS.
    package static let encrypted = allCases.filter(\.isTLS)

    /// Two connected streams; over TLS their hands are shaken.
    package nonisolated(nonsending) func pair(
        on loop: IOLoop, _ options: StreamOptions = StreamOptions()
    ) async throws -> (IOStream, IOStream) {
        switch self {
        case .tcp: return try await connectedPair(on: loop, options)
        case .memory: return try MemoryStream.pair(on: loop, options: options)
        case .unix:
            let ends = try socketPair()
            return (
                try IOStream(socket: ends.0, loop: loop, options: options),
                try IOStream(socket: ends.1, loop: loop, options: options)
            )
        case .pipe:
            let (there, back) = (try pipePair(), try pipePair())
            return (
                try IOStream(
                    readingPipe: back.read, writingPipe: there.write, loop: loop, options: options),
                try IOStream(
                    readingPipe: there.read, writingPipe: back.write, loop: loop, options: options)
            )
        case .trickle:
            let (left, right) = MemoryTransport.pair(on: loop, capacity: 4_096)
            return (
                try IOStream(trickling(left, loop), loop: loop, options: options),
                try IOStream(trickling(right, loop), loop: loop, options: options)
            )
        case .tls, .tlsOverMemory, .tlsOverTrickle:
            return try await base.securePair(on: loop, options: options)
        }
    }

    /// Both ends with TLS, hands shaken; the first is the client's.
    package nonisolated(nonsending) func securePair(
        on loop: IOLoop, _ client: TLSClientContext? = nil, _ server: TLSServerContext? = nil,
        options: StreamOptions = StreamOptions()
    ) async throws -> (client: IOStream, server: IOStream) {
        let (near, far) = try await pair(on: loop, options)
        let server = try server ?? serverContext()
        let client = try client ?? clientContext()
        let accepting = loop.async { try await far.startTLS(server: server) }
        try await near.startTLS(client: client, host: "localhost")
        try await accepting.value
        return (near, far)
    }

    private func trickling(_ base: MemoryTransport, _ loop: IOLoop) -> ScriptedTransport {
        let transport = ScriptedTransport(over: base, on: loop)
        transport.reads = [.wouldBlock, .atMost(1), .wouldBlock, .atMost(2)]
        transport.writes = [.wouldBlock, .atMost(1), .wouldBlock, .wouldBlock, .atMost(3)]
        transport.everyRead = .atMost(1_021)
        transport.everyWrite = .atMost(1_777)
        return transport
    }

    private func socketPair() throws -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw SystemError(errno: errno, operation: "socketpair")
        }
        return (ends[0], ends[1])
    }

    private func pipePair() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else {
            throw SystemError(errno: errno, operation: "pipe")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }
}
