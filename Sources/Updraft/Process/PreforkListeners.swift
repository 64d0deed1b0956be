internal import CUpdraft

/// The sockets that a supervisor holds for its workers: for each worker, those of every address,
/// one for each of the worker's loops.
final class PreforkListeners {
    /// As they were asked for, with each family of an empty host by itself.
    private(set) var asked: [Prefork.ListenAddress] = []
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
            let wanted = listen.families
            for one in wanted where !seen.insert(try one.socketAddress()).inserted {
                throw PreforkError(
                    .invalidArgument, "the address \(one.host):\(one.port) is listed twice.")
            }
            for bound in try PreforkListeners.open(wanted, count: workers * loops) {
                asked.append(bound.asked)
                addresses.append(bound.address)
                for (number, socket) in bound.sockets.enumerated() {
                    sockets[number / loops].append(socket)
                }
            }
        }
    }

    deinit {
        for worker in sockets.indices { close(worker) }
    }

    /// The sockets of one address.
    private struct Bound {
        let asked: Prefork.ListenAddress
        var address: SocketAddress
        var sockets: [Int32] = []
    }

    /// A port that the system picks for one family may be taken for the other.
    private static func open(_ wanted: [Prefork.ListenAddress], count: Int) throws -> [Bound] {
        for _ in 1..<portAttempts where wanted.count > 1 && wanted[0].port == 0 {
            do {
                return try openOnce(wanted, count: count)
            } catch let error as StreamError {
                guard (error.cause as? SystemError)?.isAddressInUse == true else { throw error }
            }
        }
        return try openOnce(wanted, count: count)
    }

    private static let portAttempts = 16

    private static func openOnce(_ wanted: [Prefork.ListenAddress], count: Int) throws -> [Bound] {
        var all: [Bound] = []
        var missing: StreamError?
        for listen in wanted {
            var bound = Bound(asked: listen, address: try listen.socketAddress())
            if let port = all.first?.address.port {
                bound.address = bound.address.with(port: UInt16(truncatingIfNeeded: port))
            }
            do {
                try open(&bound, count: count)
                all.append(bound)
            } catch let error as SystemError {
                let failure = Listener.failure(
                    host: listen.host, port: bound.address.port ?? 0, error)
                for socket in bound.sockets { _ = cu_close(socket) }
                guard wanted.count > 1, error.isMissingFamily else {
                    for socket in all.flatMap(\.sockets) { _ = cu_close(socket) }
                    throw failure
                }
                missing = failure
            }
        }
        if all.isEmpty, let missing { throw missing }
        return all
    }

    private static func open(_ bound: inout Bound, count: Int) throws {
        if bound.address.port != 0 {
            // Alone first: with SO_REUSEPORT the port would be shared silently with another program
            // of the same user that uses it too.
            _ = cu_close(try Listener.open(bound.address, backlog: nil, reusePort: false))
        }
        for number in 0..<count {
            let socket = try Listener.open(
                bound.address, backlog: bound.asked.backlog, reusePort: true)
            bound.sockets.append(socket)
            // All get the port that the first was given.
            if number == 0 { bound.address = try Listener.address(of: socket) }
        }
    }

    /// What a worker is given, in the order of the addresses.
    func sockets(of worker: Int) -> [Int32] { sockets[worker] }

    /// Whatever waits in them is refused, unless the worker still has them.
    func close(_ worker: Int) {
        for socket in sockets[worker] { _ = cu_close(socket) }
        sockets[worker] = []
    }
}

extension Prefork.ListenAddress {
    /// An empty host is all interfaces: one address for each family.
    fileprivate var families: [Prefork.ListenAddress] {
        guard host.isEmpty else { return [self] }
        return ["0.0.0.0", "::"].map { .tcp(host: $0, port: port, backlog: backlog) }
    }

    fileprivate func socketAddress() throws -> SocketAddress {
        do {
            return try SocketAddress(host: host, port: port)
        } catch let error as SystemError {
            throw Listener.failure(host: host, port: port, error)
        }
    }
}
