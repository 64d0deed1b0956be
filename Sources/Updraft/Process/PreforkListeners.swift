internal import CUpdraft

/// The sockets that a supervisor holds for its workers: for each worker, those of every address,
/// one for each of the worker's loops.
final class PreforkListeners {
    /// Where they listen, with the ports that the system has picked.
    private(set) var addresses: [SocketAddress] = []
    private var sockets: [[Int32]]

    /// Binds and listens.
    ///
    /// - Throws: `StreamError` with `.cannotListen`; `PreforkError` for an address that is listed
    ///   twice.
    init(_ listens: [Prefork.ListenAddress], workers: Int, loops: Int) throws {
        sockets = Array(repeating: [], count: workers)
        var seen: Set<SocketAddress> = []
        for listen in listens {
            do {
                let asked = try SocketAddress(host: listen.host, port: listen.port)
                guard seen.insert(asked).inserted else {
                    throw PreforkError(
                        .invalidArgument,
                        "the address \(listen.host):\(listen.port) is listed twice.")
                }
                try open(listen, workers: workers, loops: loops)
            } catch let error as SystemError {
                throw Listener.failure(host: listen.host, port: listen.port, error)
            }
        }
    }

    deinit {
        for worker in sockets.indices { close(worker) }
    }

    private func open(_ listen: Prefork.ListenAddress, workers: Int, loops: Int) throws {
        var address = try SocketAddress(host: listen.host, port: listen.port)
        if listen.port != 0 {
            // Alone first: with SO_REUSEPORT the port would be shared silently with another program
            // of the same user that uses it too.
            _ = cu_close(try Listener.open(address, backlog: 1, reusePort: false))
        }
        for number in 0..<workers * loops {
            let socket = try Listener.open(address, backlog: listen.backlog, reusePort: true)
            sockets[number / loops].append(socket)
            // All get the port that the first was given.
            if number == 0 { address = try Listener.address(of: socket) }
        }
        addresses.append(address)
    }

    /// What a worker is given, in the order of the addresses.
    func sockets(of worker: Int) -> [Int32] { sockets[worker] }

    /// Whatever waits in them is refused, unless the worker still has them.
    func close(_ worker: Int) {
        for socket in sockets[worker] { _ = cu_close(socket) }
        sockets[worker] = []
    }
}
