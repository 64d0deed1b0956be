import Glibc
import Updraft

/// The echo server as Tornado's documentation first showed it: descriptor handlers on the bare
/// loop, no streams and no tasks.
final class CallbackEcho {
    private let loop: IOLoop
    private let listener: Int32
    private var scratch = [UInt8](repeating: 0, count: 65_536)
    /// Bytes that a connection's kernel buffer had no room for.
    private var unsent: [Int32: ArraySlice<UInt8>] = [:]

    init(_ loop: IOLoop, port: Int) throws {
        self.loop = loop
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        var one: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard bound == 0, listen(listener, 4_096) == 0 else {
            throw SystemError(errno: errno, operation: "listen on port \(port)")
        }
    }

    /// Serves until the loop is stopped.
    func serve() async throws {
        // This is a task. Its locals, of which there are none, would be carried to the listener's
        // handler and from there to every connection's, at the price of a resumption per event.
        try loop.withoutContext {
            try loop.addHandler(listener, events: .read) { [self] _, _ in try acceptAll() }
        }
        try await loop.sleep(for: .seconds(1_000_000))
    }

    private func acceptAll() throws {
        while true {
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { return }
            _ = fcntl(connection, F_SETFL, O_NONBLOCK)
            var one: Int32 = 1
            setsockopt(
                connection, Int32(IPPROTO_TCP), TCP_NODELAY, &one,
                socklen_t(MemoryLayout<Int32>.size))
            try loop.addHandler(connection, events: .read) { [self] connection, events in
                try ready(connection, events)
            }
        }
    }

    private func ready(_ connection: Int32, _ events: IOEvents) throws {
        if let rest = unsent[connection] {
            try send(rest, to: connection)
            return
        }
        let count = recv(connection, &scratch, scratch.count, 0)
        if count < 0, errno == EAGAIN { return }
        guard count > 0 else { return drop(connection) }
        let sent = Glibc.send(connection, scratch, count, Int32(MSG_NOSIGNAL))
        if sent == count { return }
        guard sent >= 0 || errno == EAGAIN else { return drop(connection) }
        unsent[connection] = scratch[max(0, sent)..<count]
        try loop.updateHandler(connection, events: .write)
    }

    private func send(_ rest: ArraySlice<UInt8>, to connection: Int32) throws {
        let sent = rest.withUnsafeBytes {
            Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        if sent < 0, errno != EAGAIN { return drop(connection) }
        let left = rest.dropFirst(max(0, sent))
        unsent[connection] = left.isEmpty ? nil : left
        if left.isEmpty { try loop.updateHandler(connection, events: .read) }
    }

    private func drop(_ connection: Int32) {
        loop.removeHandler(connection)
        unsent[connection] = nil
        close(connection)
    }
}
