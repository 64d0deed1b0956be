import MessagePack
import Testing
@testable import Updraft
import UpdraftRPC
import UpdraftTesting

struct CostTests {
    /// Passes everything on to a socket and counts the sends.
    private final class CountingTransport: Transport {
        let socket: any Transport
        private(set) var sends = 0

        init(_ socket: any Transport) {
            self.socket = socket
        }

        var descriptor: Int32? { socket.descriptor }
        var onReady: ((IOEvents) -> Void)? {
            get { socket.onReady }
            set { socket.onReady = newValue }
        }

        func read(into buffer: UnsafeMutableRawBufferPointer) throws -> TransportRead {
            try socket.read(into: buffer)
        }

        func write(_ bytes: UnsafeRawBufferPointer) throws -> Int {
            sends += 1
            return try socket.write(bytes)
        }

        func write(_ pieces: [UnsafeRawBufferPointer]) throws -> Int {
            sends += 1
            return try socket.write(pieces)
        }

        func shutdownWrite() { socket.shutdownWrite() }
        func takePendingError() -> SystemError? { socket.takePendingError() }
        func close() { socket.close() }
        func abort() { socket.abort() }
    }

    @Test func synchronousCallsMakeNoTask() async throws {
        try await withPair {
            $0.register("sum") { (x: Int, y: Int) in x + y }
            $0.register("later") { try await IOLoop.current.nextTurn() }
        } _: { pair in
            let loop = pair.client.loop
            try await pair.client.call("sum", 1, 1)
            let before = loop.tasksStarted
            for x in 0..<10_000 {
                let sum: Int = try await pair.client.call("sum", x, 1)
                if sum != x + 1 { Issue.record("\(x) + 1 = \(sum)") }
            }
            #expect(loop.tasksStarted == before)
            try await pair.client.call("later")
            #expect(loop.tasksStarted == before + 1)
        }
    }

    @Test func answersOfOneBatchLeaveInOneSend() async throws {
        try await withLoop { loop in
            let methods = RPCMethods()
            methods.register("sum") { (x: Int, y: Int) in x + y }
            let (near, client) = try await socketPair(loop)
            let transport = CountingTransport(near)
            let peer = try RPCPeer(stream: IOStream(transport, loop: loop), methods: methods)
            let request: MessagePackValue = [0, 1, "sum", [1, 2]]
            let bytes = try request.messagePackBytes()
            try await client.write((0..<100).flatMap { _ in bytes })
            let answer: MessagePackValue = [1, 1, nil, 3]
            let answers = try await client.read(exactly: 100 * answer.messagePackBytes().count)
            #expect(answers.count == 500)
            #expect(transport.sends == 1)
            peer.close()
            client.close()
        }
    }

    private nonisolated(nonsending) func socketPair(
        _ loop: IOLoop
    ) async throws -> (any Transport, IOStream) {
        let listener = try Listener(
            ListeningSocket.bind(to: .tcp(port: 0), backlog: 1)[0], options: SocketOptions(),
            loop: loop)
        defer { listener.close() }
        let port = try #require(listener.localAddress.port)
        let connected = try await TCPClient.connect(host: "127.0.0.1", port: port)
        guard case .connection(let accepted) = listener.accept() else {
            throw RPCError("no connection")
        }
        return (accepted, connected)
    }
}
