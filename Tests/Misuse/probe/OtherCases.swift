import MessagePack
import Updraft
import UpdraftRPC

/// Streams, on another thread.
let streamCases = [
    Misuse("IOStream.read", says: "IOStream") { _ in
        await elsewhere(try await connection(), waiting: { _ = try await $0.read(upTo: 1) })
    },
    Misuse("IOStream.chunks", says: "IOStream") { _ in
        await elsewhere(try await connection(), waiting: { for try await _ in $0.chunks {} })
    },
    Misuse("IOStream.write", says: "IOStream") { _ in
        await elsewhere(try await connection(), waiting: { try await $0.write("text") })
    },
    Misuse("IOStream.enqueue", says: "IOStream") { _ in
        await elsewhere(try await connection()) { try $0.enqueue([1]) }
    },
    Misuse("IOStream.flush", says: "IOStream.flush") { _ in
        await elsewhere(try await connection(), waiting: { try await $0.flush() })
    },
    Misuse("IOStream.endWriting", says: "IOStream.endWriting") { _ in
        await elsewhere(try await connection()) { $0.endWriting() }
    },
    Misuse("IOStream.close", says: "IOStream.close") { _ in
        await elsewhere(try await connection()) { $0.close() }
    },
    Misuse("IOStream.abort", says: "IOStream.abort") { _ in
        await elsewhere(try await connection()) { $0.abort() }
    },
    Misuse("IOStream.closed", says: "IOStream.closed") { _ in
        await elsewhere(try await connection(), waiting: { try await $0.closed() })
    },
    Misuse("IOStream.onClose", says: "IOStream.onClose") { _ in
        await elsewhere(try await connection()) { $0.onClose {} }
    },
]

/// Servers and sockets.
let netCases = [
    Misuse("TCPServer.bind", says: "TCPServer.bind") { _ in
        await elsewhere(TCPServer(port: 0)) { try $0.bind() }
    },
    Misuse("TCPServer.serve", says: "TCPServer.bind") { _ in
        await elsewhere(TCPServer(port: 0), waiting: { try await $0.serve { $0.close() } })
    },
    Misuse("TCPServer.listen", says: "TCPServer.bind") { _ in
        await elsewhere(TCPServer(port: 0)) { try $0.listen { $0.close() } }
    },
    Misuse("TCPServer.stop", says: "TCPServer.stop") { _ in
        await elsewhere(TCPServer(port: 0)) { $0.stop() }
    },
    Misuse("TCPServer.drain", says: "TCPServer.stop") { _ in
        await elsewhere(TCPServer(port: 0), waiting: { _ = await $0.drain(.seconds(1)) })
    },
    Misuse("UDPSocket.receive", says: "UDPSocket") { _ in
        await elsewhere(try UDPSocket(), waiting: { _ = try await $0.receive() })
    },
    Misuse("UDPSocket.close", says: "UDPSocket.close") { _ in
        await elsewhere(try UDPSocket()) { $0.close() }
    },
]

/// Programs that were started.
let processCases = [
    Misuse("Subprocess.wait", says: "Subprocess.wait") { _ in
        await elsewhere(try cat(), waiting: { _ = try await $0.wait() })
    },
    Misuse("Subprocess.waitForExit", says: "Subprocess.wait") { _ in
        await elsewhere(try cat(), waiting: { try await $0.waitForExit() })
    },
    Misuse("Subprocess.onExit", says: "Subprocess.onExit") { _ in
        await elsewhere(try cat()) { $0.onExit { _ in } }
    },
    Misuse("Subprocess.send", says: "Subprocess.send") { _ in
        await elsewhere(try cat()) { $0.send(.sigterm) }
    },
    Misuse("Subprocess.terminate", says: "Subprocess.send") { _ in
        await elsewhere(try cat()) { $0.terminate() }
    },
    Misuse("Subprocess.stdin", says: "IOStream.close") { _ in
        await elsewhere(try cat()) { $0.stdin.close() }
    },
    Misuse("Subprocess.closeStreams", says: "IOStream.close") { _ in
        await elsewhere(try cat()) { $0.closeStreams() }
    },
]

/// A program that ends with this one, whose end of the pipe it waits for.
private func cat() throws -> Subprocess {
    try Subprocess("/bin/cat", stdin: .stream, stdout: .null)
}

/// Locks and queues.
let syncCases = [
    Misuse("Lock.acquire", says: "Lock.acquire") { _ in
        await elsewhere(Lock(), waiting: { try await $0.acquire() })
    },
    Misuse("Lock.withLock", says: "Lock.withLock") { _ in
        await elsewhere(Lock(), waiting: { try await $0.withLock {} })
    },
    Misuse("Lock.release", says: "Lock.release") { _ in
        await elsewhere(Lock()) { try $0.release() }
    },
    Misuse("Condition.wait", says: "Condition.wait") { _ in
        await elsewhere(Condition(), waiting: { try await $0.wait() })
    },
    Misuse("Condition.notify", says: "Condition.notify") { _ in
        await elsewhere(Condition()) { $0.notify() }
    },
    Misuse("Event.wait", says: "Event.wait") { _ in
        await elsewhere(Event(), waiting: { try await $0.wait() })
    },
    Misuse("Event.set", says: "Event.set") { _ in
        await elsewhere(Event()) { $0.set() }
    },
    Misuse("Semaphore.acquire", says: "Semaphore.acquire") { _ in
        await elsewhere(Semaphore(), waiting: { try await $0.acquire() })
    },
    Misuse("Semaphore.release", says: "Semaphore.release") { _ in
        await elsewhere(Semaphore()) { $0.release() }
    },
    Misuse("BoundedSemaphore.release", says: "BoundedSemaphore.release") { _ in
        await elsewhere(BoundedSemaphore()) { try $0.release() }
    },
    Misuse("Queue.put", says: "Queue.put") { _ in
        await elsewhere(Queue<Int>(), waiting: { try await $0.put(1) })
    },
    Misuse("Queue.get", says: "Queue.get") { _ in
        await elsewhere(Queue<Int>(), waiting: { _ = try await $0.get() })
    },
    Misuse("Queue.finish", says: "Queue.finish") { _ in
        await elsewhere(Queue<Int>()) { $0.finish() }
    },
    Misuse("PriorityQueue.putNowait", says: "Queue.put") { _ in
        await elsewhere(PriorityQueue<Int>()) { try $0.putNowait(1) }
    },
    Misuse("LifoQueue.getNowait", says: "Queue.get") { _ in
        await elsewhere(LifoQueue<Int>()) { _ = try $0.getNowait() }
    },
]

/// MessagePack-RPC.
let rpcCases = [
    Misuse("RPCPeer.call", says: "RPCPeer.call") { _ in
        await elsewhere(try await peer(), waiting: { try await $0.call("method") })
    },
    Misuse("RPCPeer.notify", says: "RPCPeer.notify") { _ in
        await elsewhere(try await peer()) { try $0.notify("method") }
    },
    Misuse("RPCPeer.close", says: "RPCPeer.close") { _ in
        await elsewhere(try await peer()) { $0.close() }
    },
    Misuse("RPCServer.stop", says: "RPCServer.stop") { _ in
        await elsewhere(RPCServer(port: 0)) { $0.stop() }
    },
    Misuse("RPCServer.bind", says: "TCPServer.bind") { _ in
        await elsewhere(RPCServer(port: 0)) { try $0.bind() }
    },
]

private nonisolated(nonsending) func peer() async throws -> RPCPeer {
    let server = TCPServer(port: 0)
    try server.listen { stream in try await stream.closed() }
    return try await RPCClient.connect(host: "127.0.0.1", port: server.port)
}
