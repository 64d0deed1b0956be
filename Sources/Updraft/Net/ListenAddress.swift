/// Where a server is to listen.
///
/// ```swift
/// let server = TCPServer(listeningOn: [.allInterfaces(port: 7000), .unix("/run/game.sock")])
/// ```
public struct ListenAddress: Hashable, Sendable {
    enum Place: Hashable {
        case tcp(host: String, port: Int)
        case allInterfaces(port: Int)
        case unix(path: String, mode: UInt32)
        case abstract(name: String)
    }

    let place: Place

    /// A port of one address of this machine.
    ///
    /// - Parameters:
    ///   - host: A numeric address, by default of this machine alone; names are not resolved. An
    ///     empty one means all interfaces.
    ///   - port: 0 lets the system pick a free one.
    public static func tcp(host: String = "127.0.0.1", port: Int) -> ListenAddress {
        host.isEmpty
            ? allInterfaces(port: port) : ListenAddress(place: .tcp(host: host, port: port))
    }

    /// A port of all addresses that this machine has, IPv4 and IPv6 (where there is IPv6), with a
    /// socket for each family.
    ///
    /// - Parameter port: 0 lets the system pick one that is free for both.
    public static func allInterfaces(port: Int) -> ListenAddress {
        ListenAddress(place: .allInterfaces(port: port))
    }

    /// A Unix socket with a file.
    ///
    /// A file that another server has left behind is replaced; one that somebody serves, or that is
    /// no socket, is an error. When the server stops, it removes the file, unless another has taken
    /// its place.
    ///
    /// - Parameters:
    ///   - path: At most `SocketAddress.unixPathBytesMax` bytes.
    ///   - mode: Who may connect, as permission bits: whoever may write the file. It holds from the
    ///     beginning and whatever the umask is. By default the user alone.
    public static func unix(_ path: String, mode: UInt32 = 0o600) -> ListenAddress {
        ListenAddress(place: .unix(path: path, mode: mode))
    }

    /// A Unix socket without a file, by a name that the machine's programs share: whoever knows it
    /// may connect. Linux alone.
    ///
    /// - Parameter name: At most `SocketAddress.unixPathBytesMax` bytes, without the `@` or zero
    ///   byte that some write before it.
    public static func unix(abstract name: String) -> ListenAddress {
        ListenAddress(place: .abstract(name: name))
    }

    /// The port that was asked for; nil for Unix sockets.
    public var port: Int? {
        switch place {
        case .tcp(_, let port), .allInterfaces(let port): port
        case .unix, .abstract: nil
        }
    }
}

extension ListenAddress: CustomStringConvertible {
    /// As in `127.0.0.1:7000`, `*:7000`, `/run/game.sock`, `@game`.
    public var description: String {
        switch place {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .allInterfaces(let port): "*:\(port)"
        case .unix(let path, _): path
        case .abstract(let name): "@\(name)"
        }
    }
}
