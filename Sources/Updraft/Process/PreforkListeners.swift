internal import CUpdraft

/// The sockets that a supervisor holds for its workers: for each worker, those of every address,
/// one for each of the worker's loops.
final class PreforkListeners {
    /// As they were asked for, with each family of an empty host by itself.
    private(set) var asked: [Prefork.ListenAddress] = []
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
                let families = host.isEmpty ? ["0.0.0.0", "::"] : [host]
                let ports = try families.map { family in
                    let port = try Port(host: family, port: port, backlog: listen.backlog)
                    try note(port.asked, "\(family):\(port.number)", in: &seen)
                    return port
                }
                for bound in try Port.bind(ports, count: workers * loops) {
                    add(bound, loops: loops)
                }
            case .unix(let path, let mode):
                try note(SocketAddress(unixPath: path), path, in: &seen)
                try share(.unix(path, mode: mode), listen.backlog, workers: workers, loops: loops)
                asked.append(listen)
            }
        }
    }

    private func add(_ port: Port, loops: Int) {
        asked.append(.tcp(host: port.host, port: port.number, backlog: port.backlog))
        addresses.append(port.address)
        for (number, socket) in port.sockets.enumerated() {
            sockets[number / loops].append(socket)
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

/// The sockets of one address with a port.
private struct Port {
    let host: String
    /// As it was asked for.
    let number: Int
    let backlog: Int
    let asked: SocketAddress
    private(set) var address: SocketAddress
    private(set) var sockets: [Int32] = []

    init(host: String, port: Int, backlog: Int) throws {
        self.host = host
        number = port
        self.backlog = backlog
        do {
            asked = try SocketAddress(host: host, port: port)
        } catch let error as SystemError {
            throw Listener.failure(host: host, port: port, error)
        }
        address = asked
    }

    /// All of them on one port, or none. One that the system picks for the first may be taken for
    /// the next.
    static func bind(_ ports: [Port], count: Int) throws -> [Port] {
        for _ in 1..<attempts where ports.count > 1 && ports[0].number == 0 {
            do {
                return try bindOnce(ports, count: count)
            } catch let error as StreamError {
                guard (error.cause as? SystemError)?.isAddressInUse == true else { throw error }
            }
        }
        return try bindOnce(ports, count: count)
    }

    private static let attempts = 16

    private static func bindOnce(_ ports: [Port], count: Int) throws -> [Port] {
        var bound: [Port] = []
        var missing: StreamError?
        for var port in ports {
            if let first = bound.first?.address.port {
                port.address = port.address.with(port: UInt16(truncatingIfNeeded: first))
            }
            do {
                try port.open(count)
                bound.append(port)
            } catch let error as SystemError {
                let failure = Listener.failure(
                    host: port.host, port: port.address.port ?? 0, error)
                port.close()
                guard ports.count > 1, error.isMissingFamily else {
                    for port in bound { port.close() }
                    throw failure
                }
                missing = failure
            }
        }
        if bound.isEmpty, let missing { throw missing }
        return bound
    }

    private mutating func open(_ count: Int) throws {
        if address.port != 0 {
            // Alone first: with SO_REUSEPORT the port would be shared silently with another program
            // of the same user that uses it too.
            _ = cu_close(try Listener.open(address, backlog: nil, reusePort: false))
        }
        for number in 0..<count {
            let socket = try Listener.open(address, backlog: backlog, reusePort: true)
            sockets.append(socket)
            // All get the port that the first was given.
            if number == 0 { address = try Listener.address(of: socket) }
        }
    }

    private func close() {
        for socket in sockets { _ = cu_close(socket) }
    }
}
