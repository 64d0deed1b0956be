internal import CUpdraft
internal import Synchronization

/// Listening sockets that a worker process was started with, for its servers to find by the address
/// they ask for.
enum InheritedListeners {
    private struct Stock {
        /// What is left, in the order of the loops; an address stays when all are taken.
        var sockets: [SocketAddress: [Int32]] = [:]
        var isFilled = false
        var unserved = 0
        var onAllServed: @Sendable () -> Void = {}
    }

    enum Found {
        /// The address is not among the inherited ones.
        case notListed
        case socket(Int32)
        /// It is, and other servers have all of its sockets.
        case allTaken
    }

    private static let stock = Mutex(Stock())

    /// Whether this process is a worker.
    static var isInWorker: Bool { stock.withLock { $0.isFilled } }

    /// Gives the servers of this process their sockets.
    ///
    /// - Parameter onAllServed: Called once, on some loop's thread, when each has a server that
    ///   accepts.
    static func fill(
        _ sockets: [SocketAddress: [Int32]], onAllServed: @escaping @Sendable () -> Void
    ) {
        stock.withLock { stock in
            stock.isFilled = true
            stock.sockets = sockets
            stock.unserved = sockets.values.reduce(0) { $0 + $1.count }
            stock.onAllServed = onAllServed
        }
    }

    /// Hands over the next socket of an address: the caller owns it.
    ///
    /// - Parameter address: As it was asked for; its port may be 0.
    static func take(_ address: SocketAddress) -> Found {
        stock.withLock { stock in
            guard var left = stock.sockets[address] else { return .notListed }
            guard !left.isEmpty else { return .allTaken }
            let socket = left.removeFirst()
            stock.sockets[address] = left
            return .socket(socket)
        }
    }

    /// Takes one back that no server has accepted from. It is the next one that is handed over.
    static func giveBack(_ socket: Int32, for address: SocketAddress) {
        stock.withLock { $0.sockets[address, default: []].insert(socket, at: 0) }
    }

    /// One that was taken is accepted from.
    static func isServed() {
        let tell = stock.withLock { stock -> (@Sendable () -> Void)? in
            stock.unserved -= 1
            return stock.unserved == 0 ? stock.onAllServed : nil
        }
        tell?()
    }
}
