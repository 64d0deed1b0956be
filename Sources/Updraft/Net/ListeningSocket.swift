internal import CUpdraft
internal import Synchronization

/// A socket that listens, to be handed to servers with `addSocket`. Contract rows K4 and K7.
///
/// ```swift
/// let sockets = try ListeningSocket.bind(host: nil, port: 7000)
/// let server = TCPServer(listeningOn: [])
/// try server.addSockets(sockets)
/// ```
///
/// Servers on several loops may have the same socket: each connection goes to one of them. It is
/// closed exactly once: when the last server that has it stops, when `close` is called while no
/// server has it, or, if it was never given to one, when nobody holds it any more. Whatever waits
/// in it is refused then. Any thread may use it.
public final class ListeningSocket: Sendable {
    private struct State {
        var isOpen = true
        var servers = 0
    }

    /// Where it listens, with the port that the system has picked.
    public let localAddress: SocketAddress

    /// Its number while `isOpen`.
    let descriptor: Int32

    private let file: UnixSocketFile?
    private let state = Mutex(State())

    /// Takes over a socket that listens already, from a service manager for one; its file, if it
    /// has one, is not removed.
    ///
    /// - Parameter descriptor: Made non-blocking, and closed on exec.
    /// - Throws: `StreamError` with `.cannotListen` if it is no stream socket that listens; the
    ///   descriptor stays the caller's then.
    public convenience init(adopting descriptor: Int32) throws {
        guard cu_is_listening(descriptor) == 1, cu_is_stream(descriptor) == 1,
            cu_adopt_descriptor(descriptor) == 0
        else {
            throw StreamError(
                .cannotListen, "Descriptor \(descriptor) is no stream socket that listens.")
        }
        try self.init(descriptor, file: nil)
    }

    /// Takes over a socket that a supervisor has given this process, and closes it if it throws.
    convenience init(inheriting descriptor: Int32) throws {
        do {
            try self.init(descriptor, file: nil)
        } catch {
            _ = cu_close(descriptor)
            throw error
        }
    }

    /// The descriptor stays the caller's if it throws.
    private init(_ descriptor: Int32, file: UnixSocketFile?) throws {
        localAddress = try Listener.address(of: descriptor)
        self.descriptor = descriptor
        self.file = file
    }

    deinit {
        if state.withLock({ $0.isOpen }) { free() }
    }

    /// Whether it listens still.
    public var isOpen: Bool { state.withLock { $0.isOpen } }

    /// Closes it, unless a server has it, which closes it when it stops. Calling it again does
    /// nothing.
    public func close() {
        let isLast = state.withLock { state in
            guard state.isOpen, state.servers == 0 else { return false }
            state.isOpen = false
            return true
        }
        if isLast { free() }
    }

    /// A server has it from now on, until it calls `release`.
    func acquire() throws {
        let isOpen = state.withLock { state in
            if state.isOpen { state.servers += 1 }
            return state.isOpen
        }
        guard isOpen else {
            throw StreamError(
                .cannotListen, "The listening socket of \(localAddress) has been closed.")
        }
    }

    func release() {
        state.withLock { $0.servers -= 1 }
        close()
    }

    /// Leaves the descriptor to somebody else, without closing it. Whether it was this socket's.
    @discardableResult
    func forget() -> Bool {
        let wasOpen = state.withLock { state in
            defer { state.isOpen = false }
            return state.isOpen
        }
        if wasOpen { file?.remove() }
        return wasOpen
    }

    private func free() {
        // The file first: a name that nobody answers to should not be there.
        file?.remove()
        _ = cu_close(descriptor)
    }

    // MARK: Binding

    /// Binds and listens on a port: one socket for each address (netutil's `bind_sockets`).
    ///
    /// - Parameters:
    ///   - host: A numeric address; nil or an empty one for all interfaces, IPv4 and IPv6. IPv6
    ///     sockets take IPv6 alone.
    ///   - port: 0 lets the system pick one, the same for all addresses.
    ///   - family: Which addresses to take. With `any`, a family that the machine does not have is
    ///     left out.
    ///   - backlog: Connections that the kernel holds ready to be accepted.
    ///   - reusePort: Lets other sockets of the same user that ask for it too listen on the port:
    ///     the kernel spreads the connections.
    /// - Throws: `StreamError` with `.cannotListen`; nothing is bound then.
    public static func bind(
        host: String? = nil, port: Int, family: AddressFamily = .any, backlog: Int = 4_096,
        reusePort: Bool = false
    ) throws -> [ListeningSocket] {
        var options = ListenOptions(backlog: backlog, reusePort: reusePort)
        options.family = family
        return try bind(to: .tcp(host: host ?? "", port: port), options)
    }

    /// Binds and listens on an address; one socket, but for all interfaces, where it is one for
    /// each family.
    ///
    /// - Throws: `StreamError` with `.cannotListen`; nothing is bound then.
    public static func bind(
        to address: ListenAddress, backlog: Int = 4_096, reusePort: Bool = false
    ) throws -> [ListeningSocket] {
        try bind(to: address, ListenOptions(backlog: backlog, reusePort: reusePort))
    }

    static func bind(
        to address: ListenAddress, _ options: ListenOptions
    ) throws -> [ListeningSocket] {
        switch address.place {
        case .unix(let path, let mode):
            return [try unix(path, mode: mode, options)]
        case .abstract(let name):
            return [try abstract(name, options)]
        case .tcp, .allInterfaces:
            let addresses = try address.socketAddresses(options.family)
            guard address.port == 0, addresses.count > 1 else {
                return try open(addresses, options)
            }
            return try openOnOnePort(addresses, options)
        }
    }

    /// The system picks a port for the first address. It may be taken for the next one: then it
    /// has to pick again.
    private static func openOnOnePort(
        _ addresses: [SocketAddress], _ options: ListenOptions
    ) throws -> [ListeningSocket] {
        var failure: any Error = StreamError(.cannotListen, "No port is free for all addresses.")
        for _ in 0..<portAttempts {
            do {
                return try open(addresses, options)
            } catch let error as StreamError {
                guard (error.cause as? SystemError)?.isAddressInUse == true else { throw error }
                failure = error
            }
        }
        throw failure
    }

    private static let portAttempts = 16

    /// All of them, on the port that the first is given, or none.
    private static func open(
        _ addresses: [SocketAddress], _ options: ListenOptions
    ) throws -> [ListeningSocket] {
        var sockets: [ListeningSocket] = []
        var missing: (any Error)?
        for address in addresses {
            var address = address
            if let port = sockets.first?.localAddress.port {
                address = address.with(port: UInt16(truncatingIfNeeded: port))
            }
            do {
                sockets.append(try tcp(address, options))
            } catch let error as SystemError {
                let failure = Listener.failure(
                    host: address.host, port: address.port ?? 0, error)
                guard addresses.count > 1, error.isMissingFamily else { throw failure }
                missing = failure
            }
        }
        if sockets.isEmpty, let missing { throw missing }
        return sockets
    }

    private static func tcp(
        _ address: SocketAddress, _ options: ListenOptions
    ) throws -> ListeningSocket {
        let descriptor = try Listener.open(
            address, backlog: options.listens ? options.backlog : nil,
            reusePort: options.reusePort)
        return try owning(descriptor, file: nil)
    }

    private static func owning(
        _ descriptor: Int32, file: UnixSocketFile?
    ) throws -> ListeningSocket {
        do {
            return try ListeningSocket(descriptor, file: file)
        } catch {
            file?.remove()
            _ = cu_close(descriptor)
            throw error
        }
    }

    private static func abstract(
        _ name: String, _ options: ListenOptions
    ) throws -> ListeningSocket {
        let address = SocketAddress(abstractName: name)
        guard address.system != nil else {
            throw StreamError(
                .cannotListen,
                "Can't listen on '@\(name)': an abstract name has 1 to \(cu_unix_path_max) bytes, "
                    + "and needs Linux.")
        }
        do {
            return try tcp(address, ListenOptions(backlog: options.backlog, reusePort: false))
        } catch let error as SystemError {
            let reason = error.isAddressInUse ? ": it is taken already" : ""
            throw StreamError(.cannotListen, "Can't listen on \(address)\(reason).", cause: error)
        }
    }

    private static func unix(
        _ path: String, mode: UInt32, _ options: ListenOptions
    ) throws -> ListeningSocket {
        do {
            let lock = try FolderLock(around: path)
            defer { lock.release() }
            let descriptor = try SystemError.check(cu_socket_unix(), "socket")
            let file: UnixSocketFile
            do {
                file = try UnixSocketFile(binding: descriptor, to: path, mode: mode)
            } catch {
                _ = cu_close(descriptor)
                throw error
            }
            let socket = try owning(descriptor, file: file)
            try SystemError.check(
                cu_listen(descriptor, Int32(clamping: options.backlog)), "listen on \(path)")
            return socket
        } catch let error as SystemError {
            throw StreamError(.cannotListen, "Can't listen on \(path).", cause: error)
        }
    }
}
