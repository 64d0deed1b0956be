internal import CUpdraft

/// The file of a Unix socket that this process has bound.
struct UnixSocketFile: Sendable {
    let path: String
    private let device: UInt64
    private let inode: UInt64

    /// Binds the socket to a path that is free, or taken by a file that nobody serves any more.
    ///
    /// - Throws: `StreamError` with `.cannotListen`; `SystemError`. No file of ours is left then.
    init(binding socket: Int32, to path: String, mode: UInt32) throws {
        var address = try UnixSocketFile.address(path)
        cu_limit_socket_mode(socket, mode)
        var result = cu_bind_listener(socket, &address, false)
        if result == -cu_eaddrinuse {
            try UnixSocketFile.removeStale(path, &address)
            result = cu_bind_listener(socket, &address, false)
        }
        try SystemError.check(result, "bind \(path)")
        // The program may go to another folder meanwhile.
        let path = UnixSocketFile.absolute(path)
        var file = cu_socket_file()
        let look = cu_socket_file(path, &file)
        if look < 0 {
            _ = cu_unlink(path)
            throw SystemError(errno: look, operation: "look at \(path)")
        }
        self.path = path
        device = file.device
        inode = file.inode
        guard file.mode != mode else { return }
        // The umask has taken bits away. Nobody can connect yet: the socket does not listen.
        let change = cu_set_file_mode(path, mode)
        if change < 0 {
            remove()
            throw SystemError(errno: change, operation: "change the mode of \(path)")
        }
    }

    private static func address(_ path: String) throws -> cu_address {
        if path.utf8.count > Int(cu_unix_path_max) {
            throw StreamError(
                .cannotListen,
                "The path '\(path)' is too long for a Unix socket: it has \(path.utf8.count) bytes "
                    + "and may have \(cu_unix_path_max).")
        }
        let wanted = SocketAddress(unixPath: path)
        guard wanted.filePath != nil, let address = wanted.system else {
            throw StreamError(
                .cannotListen, "Can't listen on '\(path)': that is no path of a Unix socket.")
        }
        return address
    }

    private static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/") else { return path }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4_096) { buffer in
            guard let base = buffer.baseAddress, cu_working_folder(base, buffer.count) == 0 else {
                return path
            }
            return "\(String(cString: base))/\(path)"
        }
    }

    /// Removes the file of a socket on which nobody accepts.
    private static func removeStale(_ path: String, _ address: inout cu_address) throws {
        var file = cu_socket_file()
        let look = cu_socket_file(path, &file)
        if look == -cu_enoent { return }
        try SystemError.check(look, "look at \(path)")
        guard file.is_socket else {
            throw failure(path, "a file that is no socket stands there")
        }
        let probe = try SystemError.check(cu_socket_stream(&address), "socket")
        let answer = cu_connect(probe, &address)
        _ = cu_close(probe)
        if answer == -cu_enoent { return }
        // With a full backlog it is EAGAIN: somebody is there.
        guard answer == -cu_econnrefused else {
            let reason =
                answer == -cu_eacces
                ? "a socket stands there that this program may not connect to, to see whether it "
                    + "is served" : "it is taken already"
            let cause = answer < 0 ? SystemError(errno: answer, operation: "connect") : nil
            throw failure(path, reason, cause)
        }
        // A server that does not know of the lock may have begun to replace it as well.
        var current = cu_socket_file()
        let result = cu_socket_file(path, &current)
        if result == -cu_enoent { return }
        guard result == 0, current.device == file.device, current.inode == file.inode else {
            throw failure(path, "another program is about to listen there")
        }
        try SystemError.check(cu_unlink(path), "remove the stale socket \(path)")
    }

    private static func failure(
        _ path: String, _ reason: String, _ cause: SystemError? = nil
    ) -> StreamError {
        StreamError(.cannotListen, "Can't listen on \(path): \(reason).", cause: cause)
    }

    /// Removes the file, unless another stands in its place by now.
    func remove() {
        var file = cu_socket_file()
        guard cu_socket_file(path, &file) == 0, file.is_socket, file.device == device,
            file.inode == inode
        else { return }
        _ = cu_unlink(path)
    }
}
