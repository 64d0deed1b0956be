import Glibc
import Updraft
import UpdraftTesting

@testable import UpdraftTLS

/// Ways to connect two streams beneath TLS.
enum Link: String, CaseIterable, Sendable {
    case tcp
    case memory
    /// Memory that gives and takes a few bytes at a time and often nothing.
    case trickle

    nonisolated(nonsending) func pair(
        on loop: IOLoop, _ options: StreamOptions = StreamOptions()
    ) async throws -> (IOStream, IOStream) {
        switch self {
        case .tcp: return try await connectedPair(on: loop, options)
        case .memory: return try MemoryStream.pair(on: loop, options: options)
        case .trickle:
            let (left, right) = MemoryTransport.pair(on: loop, capacity: 4_096)
            return (
                try IOStream(trickling(left, loop), loop: loop, options: options),
                try IOStream(trickling(right, loop), loop: loop, options: options)
            )
        }
    }

    private func trickling(_ base: MemoryTransport, _ loop: IOLoop) -> ScriptedTransport {
        let transport = ScriptedTransport(over: base, on: loop)
        transport.reads = [.wouldBlock, .atMost(1), .wouldBlock, .atMost(2)]
        transport.writes = [.wouldBlock, .atMost(1), .wouldBlock, .wouldBlock, .atMost(3)]
        transport.everyRead = .atMost(211)
        transport.everyWrite = .atMost(307)
        return transport
    }

    /// Both ends with TLS, hands shaken.
    nonisolated(nonsending) func securePair(
        on loop: IOLoop, _ client: TLSClientContext? = nil, _ server: TLSServerContext? = nil,
        _ options: StreamOptions = StreamOptions()
    ) async throws -> (client: IOStream, server: IOStream) {
        let (near, far) = try await pair(on: loop, options)
        let server = try server ?? serverContext()
        let client = try client ?? clientContext()
        let accepting = loop.async { try await far.startTLS(server: server) }
        try await near.startTLS(client: client, host: "localhost")
        try await accepting.value
        return (near, far)
    }
}

/// Two ends of a TCP connection over loopback; the first is the client's.
nonisolated(nonsending) func connectedPair(
    on loop: IOLoop, _ options: StreamOptions = StreamOptions()
) async throws -> (IOStream, IOStream) {
    var serverOptions = TCPServer.Options()
    serverOptions.stream = options
    let server = TCPServer(port: 0, options: serverOptions)
    var accepted: IOStream?
    try server.listen { stream in
        accepted = stream
        try await stream.closed()
    }
    var clientOptions = TCPClient.Options()
    clientOptions.stream = options
    let near = try await TCPClient.connect(
        host: "127.0.0.1", port: server.port, options: clientOptions)
    while true {
        if let far = accepted {
            server.stop()
            return (near, far)
        }
        try await loop.nextTurn()
    }
}

/// Open descriptors of this process.
func openDescriptors() -> Int {
    guard let directory = opendir("/proc/self/fd") else { return -1 }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    return count
}
