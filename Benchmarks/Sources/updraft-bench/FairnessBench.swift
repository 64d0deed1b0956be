import Glibc
import Updraft

/// What a connection that floods does to another one on the same loop: the round trip of one byte,
/// without and with a flood beside it.
struct FairnessBench {
    let count: Int

    func run() throws {
        let server = try EchoThread()
        defer { server.stop() }
        let probe = connectSocket(server.port)
        defer { close(probe) }
        measure("quiet", probe)
        let flood = connectSocket(server.port)
        defer { close(flood) }
        let writer = spawnThread { pour(into: flood) }
        let reader = spawnThread { drain(flood) }
        measure("flooded", probe)
        shutdown(flood, Int32(SHUT_RDWR))
        pthread_join(writer, nil)
        pthread_join(reader, nil)
    }

    /// One byte there and back, a millisecond apart, `count` times.
    private func measure(_ what: String, _ probe: Int32) {
        var times: [Double] = []
        times.reserveCapacity(count)
        for _ in 0..<count {
            usleep(1_000)
            let start = Times.now().wall
            var byte: UInt8 = 1
            precondition(send(probe, &byte, 1, 0) == 1 && recv(probe, &byte, 1, 0) == 1)
            times.append(Times.now().wall - start)
        }
        times.sort()
        func microseconds(_ share: Double) -> Int {
            Int(times[min(times.count - 1, Int(Double(times.count) * share))] / 1_000)
        }
        print(
            "updraft echo-of-a-byte-\(what) us: median \(microseconds(0.5)),",
            "99th percentile \(microseconds(0.99)), most \(microseconds(1))")
    }
}

/// An echo server on a thread of its own.
private final class EchoThread {
    let port: Int
    private let remote: IOLoop.Remote
    private let thread: pthread_t

    init() throws {
        let made = Handover<(port: Int, remote: IOLoop.Remote)>()
        thread = spawnThread {
            do {
                try IOLoop.run { loop in
                    let server = TCPServer(port: 0)
                    try server.bind()
                    made.give((server.port, loop.remote))
                    try await server.serve { stream in
                        for try await chunk in stream.chunks { try await stream.write(chunk) }
                    }
                }
            } catch {
                precondition(error is LoopError, "the server ended: \(error)")
            }
        }
        (port, remote) = made.wait()
    }

    func stop() {
        remote.stop()
        pthread_join(thread, nil)
    }
}

private func pour(into socket: Int32) {
    let bytes = [UInt8](repeating: 2, count: 65_536)
    while send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL)) > 0 {}
}

private func drain(_ socket: Int32) {
    var bytes = [UInt8](repeating: 0, count: 65_536)
    while recv(socket, &bytes, bytes.count, 0) > 0 {}
}
