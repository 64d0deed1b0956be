internal import CUpdraft

/// How sockets are made to listen.
struct ListenOptions {
    var backlog: Int
    var reusePort: Bool
    var family = AddressFamily.any
    /// False to see whether the address is free: whoever connects meanwhile is not to be accepted.
    var listens = true
}

extension ListenAddress {
    /// The same with another port.
    func with(port: Int) -> ListenAddress {
        switch place {
        case .tcp(let host, _): .tcp(host: host, port: port)
        case .allInterfaces: .allInterfaces(port: port)
        case .unix, .abstract: self
        }
    }

    /// The addresses to listen on, IPv4 first.
    func socketAddresses(_ family: AddressFamily) throws -> [SocketAddress] {
        let hosts: [String]
        switch place {
        case .tcp(let host, _): hosts = [host]
        case .allInterfaces: hosts = ["0.0.0.0", "::"]
        case .unix(let path, _): return [SocketAddress(unixPath: path)]
        case .abstract(let name): return [SocketAddress(abstractName: name)]
        }
        let port = port ?? 0
        var addresses: [SocketAddress] = []
        for host in hosts {
            do {
                addresses.append(try SocketAddress(host: host, port: port))
            } catch let error as SystemError {
                throw Listener.failure(host: host, port: port, error)
            }
        }
        addresses.removeAll { family == ($0.isIPv6 ? .ipv4 : .ipv6) }
        if addresses.isEmpty {
            let wanted = family == .ipv4 ? "IPv4" : "IPv6"
            throw StreamError(
                .cannotListen,
                "Can't listen on \(self): \(hosts[0]) is no \(wanted) address.")
        }
        return addresses
    }
}

extension SystemError {
    /// The machine has no such family of addresses.
    var isMissingFamily: Bool {
        errno == cu_eafnosupport || errno == cu_eaddrnotavail
    }
}
