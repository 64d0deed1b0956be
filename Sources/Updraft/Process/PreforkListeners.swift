internal import CUpdraft

/// The sockets that a supervisor holds for its workers: for each worker, those of every address,
/// one for each of the worker's loops.
final class PreforkListeners {
    /// Where they listen, with the ports that the system has picked.
    private(set) var addresses: [SocketAddress] = []
    private var sockets: [[Int32]]
    /// Those of which the workers have copies.
    private var shared: [ListeningSocket] = []

    /// Binds and listens.
    ///
    /// - Throws: `StreamError` with `.cannotListen`; `PreforkError` for an address that is listed
    ///   twice.
    init(_ listens: [Prefork.ListenAddress], workers: Int, loops: Int) throws {
        sockets = Array(repeating: [], count: workers)
        var seen: Set<SocketAddress> = []
        for listen in listens {
            switch listen.place {
            case .tcp(let host, let port):
                do {
                    let asked = try SocketAddress(host: host, port: port)
                    try note(asked, "\(host):\(port)", in: &seen)
                    try open(asked, listen.backlog, workers: workers, loops: loops)
                } catch let error as SystemError {
                    throw Listener.failure(host: host, port: port, error)
                }
            case .unix(let path, let mode):
                try note(SocketAddress(unixPath: path), path, in: &seen)
                try share(.unix(path, mode: mode), listen.backlog, workers: workers, loops: loops)
            }
        }
    }

    private func note(
        _ address: SocketAddress, _ text: String, in seen: inout Set<SocketAddress>
    ) throws {
        guard seen.insert(address).inserted else {
            throw PreforkError(.invalidArgument, "the address \(text) is listed twice.")
        }
    }

    deinit {
        for worker in sockets.indices { close(worker) }
    }

    private func open(
        _ asked: SocketAddress, _ backlog: Int, workers: Int, loops: Int
    ) throws {
        var address = asked
        if asked.port != 0 {
            // Alone first: with SO_REUSEPORT the port would be shared silently with another program
            // of the same user that uses it too.
            _ = cu_close(try Listener.open(address, backlog: 1, reusePort: false))
        }
        for number in 0..<workers * loops {
            let socket = try Listener.open(address, backlog: backlog, reusePort: true)
            sockets[number / loops].append(socket)
            // All get the port that the first was given.
            if number == 0 { address = try Listener.address(of: socket) }
        }
        addresses.append(address)
    }

    /// There is no sharing a path as a port is shared: all have copies of the one socket.
    private func share(
        _ address: ListenAddress, _ backlog: Int, workers: Int, loops: Int
    ) throws {
        for socket in try ListeningSocket.bind(to: address, backlog: backlog) {
            shared.append(socket)
            for number in 0..<workers * loops {
                let copy = try SystemError.check(
                    cu_duplicate(socket.descriptor), "copy the socket of \(address)")
                sockets[number / loops].append(copy)
            }
            addresses.append(socket.localAddress)
        }
    }

    /// What a worker is given, in the order of the addresses.
    func sockets(of worker: Int) -> [Int32] { sockets[worker] }

    /// Whatever waits in them is refused, unless the worker still has them.
    func close(_ worker: Int) {
        let descriptors = sockets[worker]
        sockets[worker] = []
        if sockets.allSatisfy(\.isEmpty) {
            // The files first: a name that nobody answers to should not be there.
            for socket in shared { socket.close() }
            shared = []
        }
        for descriptor in descriptors { _ = cu_close(descriptor) }
    }
}
