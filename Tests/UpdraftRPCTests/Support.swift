import MessagePack
import Synchronization
import Updraft
import UpdraftRPC
import UpdraftTesting

#if THREAD_SANITIZER
    typealias Mutex = SanitizedMutex
#endif

/// A server that runs and a client of it, in one loop.
struct Pair {
    let server: RPCServer
    let client: RPCPeer
}

/// Runs `body` with a server and a client, and stops both after it.
func withPair(
    options: RPCOptions = RPCOptions(), clientOptions: RPCOptions = RPCOptions(),
    clientMethods: @escaping @Sendable (RPCMethods) -> Void = { _ in },
    methods: @escaping @Sendable (RPCServer) -> Void,
    _ body: nonisolated(nonsending) @escaping @Sendable (Pair) async throws -> Void
) async throws {
    try await withServer(options: options, methods: methods) { server in
        let table = RPCMethods()
        clientMethods(table)
        let client = try await RPCClient.connect(
            host: "127.0.0.1", port: server.port, options: clientOptions, methods: table)
        try await body(Pair(server: server, client: client))
        client.close()
    }
}

/// Runs `body` beside a server, and stops the server after it; in virtual time on request.
func withServer(
    options: RPCOptions = RPCOptions(), inVirtualTime: Bool = false,
    methods: @escaping @Sendable (RPCServer) -> Void,
    _ body: nonisolated(nonsending) @escaping @Sendable (RPCServer) async throws -> Void
) async throws {
    if inVirtualTime {
        try await withVirtualLoop { try await serve(on: $0, options, methods, body) }
    } else {
        try await withLoop { try await serve(on: $0, options, methods, body) }
    }
}

private nonisolated(nonsending) func serve(
    on loop: IOLoop, _ options: RPCOptions, _ methods: (RPCServer) -> Void,
    _ body: nonisolated(nonsending) (RPCServer) async throws -> Void
) async throws {
    let server = RPCServer(port: 0, options: options)
    methods(server)
    try server.bind()
    let serving = loop.async { try await server.serve() }
    do {
        try await body(server)
    } catch {
        serving.cancel()
        throw error
    }
    _ = await server.drain(.seconds(5))
    try await serving.value
}

/// A client that sends and receives single values over a socket.
final class RawClient {
    let stream: IOStream
    private var received: [UInt8] = []

    init(_ server: RPCServer) async throws {
        stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
    }

    func send(_ values: MessagePackValue...) async throws {
        for value in values { try await stream.write(try value.messagePackBytes()) }
    }

    /// The next value, within a time that only a lost answer takes.
    func receive() async throws -> MessagePackValue {
        try await withTimeout(.seconds(10)) { [self] in
            while true {
                var scanner = MessagePackScanner()
                if case .complete(let length) = try received.withUnsafeBytes({
                    try scanner.scan($0)
                }) {
                    let value = try MessagePackValue(messagePackBytes: received.prefix(length))
                    received.removeFirst(length)
                    return value
                }
                received += try await stream.read(upTo: 65_536)
            }
        }
    }

    /// Sends one value and returns the text of the error that it is answered with.
    func errorText(
        for value: MessagePackValue, id: MessagePackValue = 0
    ) async throws -> String? {
        try await send(value)
        let answer = try await receive()
        guard answer[0] == 1, answer[1] == id, answer[3] == .nil else { return nil }
        return answer[2]?.stringValue
    }
}

/// What `body` throws, or nil.
nonisolated(nonsending) func errorOf<R>(
    _ body: nonisolated(nonsending) () async throws -> R
) async -> (any Error)? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

/// What `body` throws, if it is an `RPCError`.
nonisolated(nonsending) func rpcErrorOf<R>(
    _ body: nonisolated(nonsending) () async throws -> R
) async -> RPCError? {
    await errorOf(body) as? RPCError
}

/// Turns the loop until something holds that is known to come.
nonisolated(nonsending) func until(
    _ loop: IOLoop, _ holds: () -> Bool
) async throws {
    try await withTimeout(.seconds(10)) {
        while !holds() { try await loop.nextTurn() }
    }
}

/// Opens once; tasks wait for it.
final class Gate {
    private let event = Event()
    private(set) var waiting = 0

    var isOpen: Bool { event.isSet }

    func open() { event.set() }

    nonisolated(nonsending) func wait() async throws {
        waiting += 1
        defer { waiting -= 1 }
        try await event.wait()
    }
}

final class Box<Value> {
    var value: Value
    init(_ value: Value) { self.value = value }
}

/// Counts from closures that must be Sendable.
final class Counter: Sendable {
    private let count = Mutex(0)

    var value: Int { count.withLock { $0 } }

    func add(_ number: Int) { count.withLock { $0 += number } }
}
