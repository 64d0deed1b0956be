internal import ArgumentParser
internal import Updraft

/// Where the server listens, and with how many loops and processes.
struct ListenOptions: ParsableArguments {
    @Option(help: "The numeric address to listen on. (default: 127.0.0.1)")
    var host: String?

    @Option(help: "The port; 0 picks a free one. (default: 7000)")
    var port: Int?

    @Option(
        help: ArgumentHelp(
            "Listen on a Unix socket instead. A file that a server left behind there is replaced.",
            valueName: "path"))
    var unix: String?

    @Option(
        help: ArgumentHelp(
            "Loops, each on a thread of its own; they share the port. 0 is one per processor.",
            valueName: "n"))
    var loops = 1

    @Option(
        help: ArgumentHelp(
            "Processes that share the port or the path, each with so many loops, and one that "
                + "looks after them. 0 is one per processor; 1 is this process alone.",
            valueName: "n"))
    var processes = 1

    func validate() throws {
        if let port, !(0...65_535).contains(port) {
            throw ValidationError("The port must be between 0 and 65535, not \(port).")
        }
        if host == "" { throw ValidationError("--host needs an address; 0.0.0.0 and :: are all.") }
        for (name, number) in [("--loops", loops), ("--processes", processes)] {
            guard (0...1_024).contains(number) else {
                throw ValidationError("\(name) must be between 0 and 1024, not \(number).")
            }
        }
        try validateLoopsInAll()
        if let unix { try validate(unix: unix) }
    }

    private func validateLoopsInAll() throws {
        let perProcess = loops == 0 ? Prefork.processorCount : loops
        let inAll = perProcess * (processes == 0 ? Prefork.processorCount : processes)
        guard inAll <= 1_024 else {
            throw ValidationError(
                "--processes \(processes) with --loops \(loops) each are \(inAll) loops here; "
                    + "at most 1024.")
        }
    }

    private func validate(unix path: String) throws {
        let bytesMax = SocketAddress.unixPathBytesMax
        guard 1...bytesMax ~= path.utf8.count else {
            throw ValidationError(
                "The path of --unix must have between 1 and \(bytesMax) bytes, not "
                    + "\(path.utf8.count).")
        }
        guard host == nil, port == nil else {
            throw ValidationError("--unix takes the place of --host and --port.")
        }
    }

    /// What the supervisor of several processes listens on.
    var shared: Prefork.ListenAddress {
        if let unix { return .unix(unix) }
        return .tcp(
            host: host ?? ListenOptions.defaultHost, port: port ?? ListenOptions.defaultPort)
    }

    var address: ListenAddress {
        if let unix { return .unix(unix) }
        return .tcp(
            host: host ?? ListenOptions.defaultHost, port: port ?? ListenOptions.defaultPort)
    }

    private static let defaultHost = "127.0.0.1"
    private static let defaultPort = 7_000
}
