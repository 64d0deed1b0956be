internal import ArgumentParser
internal import Updraft

/// What connections may do, and what becomes of them.
struct ConnectionOptions: ParsableArguments {
    /// What happens to connections that are too many.
    enum WhenFull: String, CaseIterable, ExpressibleByArgument {
        case wait
        case refuse
    }

    @Flag(help: "Echo each newline-ended line when it is complete, instead of bytes as they come.")
    var line = false

    @Option(
        help: ArgumentHelp(
            "As --line, with a line's length at the most, its newline included: the connection "
                + "with a longer one is closed. (default: 65536)",
            valueName: "bytes"))
    var maxLine: Int?

    @Option(
        help: ArgumentHelp(
            "Open connections of each loop at the most. (default: 100000)", valueName: "n"))
    var maxConnections: Int?

    @Option(
        help: ArgumentHelp(
            "What happens to further ones: they wait until one ends, or are closed at once.",
            valueName: "policy"))
    var whenFull = WhenFull.wait

    @Option(
        help: ArgumentHelp(
            "Close a connection on which nothing was received or sent for so long.",
            valueName: "seconds"))
    var idleTimeout: Double?

    @Option(
        help: ArgumentHelp(
            "Connections from these addresses begin with a PROXY header (version 1 or 2), and are "
                + "closed otherwise: a network, an address, or 'unix'. May be repeated.",
            valueName: "cidr"),
        transform: { try AddressRange($0) })
    var proxyProtocol: [AddressRange] = []

    @Option(
        help: ArgumentHelp(
            "How long SIGTERM or SIGINT waits for what is in flight before it cuts it; 0 cuts it "
                + "at once.",
            valueName: "seconds"))
    var drain = 5.0

    func validate() throws {
        if let maxLine {
            let most = StreamOptions().readBufferMax
            guard 1...most ~= maxLine else {
                throw ValidationError("--max-line takes 1 to \(most) bytes, not \(maxLine).")
            }
        }
        if let maxConnections, !(1...1_000_000 ~= maxConnections) {
            throw ValidationError(
                "--max-connections must be between 1 and 1000000, not \(maxConnections).")
        }
        guard maxConnections != nil || whenFull == .wait else {
            throw ValidationError("--when-full is for --max-connections.")
        }
        try checkSeconds(idleTimeout, of: "--idle-timeout")
        try checkSeconds(drain, of: "--drain", allowsZero: true)
    }

    /// Nil for bytes as they come.
    var lineBytesMax: Int? { maxLine ?? (line ? 65_536 : nil) }

    var serverOptions: TCPServer.Options {
        var options = TCPServer.Options()
        if let maxConnections { options.connectionsMax = maxConnections }
        options.whenFull = whenFull == .wait ? .wait : .refuse
        options.idleTimeout = idleTimeout.map { .seconds($0) }
        if !proxyProtocol.isEmpty {
            options.proxyProtocol = ProxyProtocol(peers: proxyProtocol)
        }
        return options
    }

    /// The supervisor kills no worker that may still drain.
    var preforkOptions: Prefork.Options {
        var options = Prefork.Options()
        options.stopTimeout = max(options.stopTimeout, .seconds(drain + 5))
        return options
    }
}
