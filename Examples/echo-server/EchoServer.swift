public import ArgumentParser
public import Updraft
internal import UpdraftTLS

extension PollerChoice: ExpressibleByArgument {}

/// Echoes bytes, or lines: the smallest real program.
@main
struct EchoServer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo-server",
        abstract: "Sends back whatever it receives, until SIGTERM or SIGINT.",
        discussion: "Prints 'listening on HOST:PORT' (or PATH) when it is ready. On SIGTERM "
            + "or SIGINT it stops accepting, finishes what is in flight and exits with 0, or with "
            + "1 if it had to cut something; a second signal ends it at once. With several "
            + "processes SIGHUP restarts them one by one.")

    @OptionGroup(title: "Listening")
    var listening: ListenOptions

    @OptionGroup(title: "Connections")
    var connections: ConnectionOptions

    @OptionGroup(title: "TLS")
    var tls: TLSOptions

    @Option(
        help: ArgumentHelp(
            "How the loop waits for its descriptors, as far as the system has it.",
            valueName: "name"))
    var poller = PollerChoice.best

    @Option(
        help: ArgumentHelp(
            "Log, with the stack, whenever the loop is blocked for so many seconds.",
            valueName: "seconds"))
    var logBlocking: Double?

    func validate() throws {
        guard poller.isAvailable else {
            let offered = PollerChoice.allCases.filter(\.isAvailable).map(\.rawValue)
            throw ValidationError(
                "This system has no \(poller.rawValue); --poller can be "
                    + "\(offered.joined(separator: ", ")) here.")
        }
        try checkSeconds(logBlocking, of: "--log-blocking")
    }

    func run() throws {
        do {
            let body = body(try tls.makeContext())
            if listening.processes == 1 {
                try IOLoop.run(loops: listening.loops, poller: poller, body)
            } else {
                try Prefork.run(
                    processes: listening.processes, loops: listening.loops, poller: poller,
                    listen: [listening.shared], options: connections.preforkOptions,
                    supervisor: announce, body)
            }
        } catch {
            StandardOutput.complain("echo-server: \(error)")
            throw ExitCode(1)
        }
    }

    /// What each loop does, in each process.
    private func body(
        _ tls: TLSServerContext?
    ) -> nonisolated(nonsending) @Sendable (IOLoop) async throws -> Void {
        let (listening, connections) = (listening, connections)
        let threshold = logBlocking.map { Duration.seconds($0) }
        return { loop in
            loop.setBlockingLogThreshold(threshold)
            let server = TCPServer(
                listeningOn: [listening.address], options: connections.serverOptions)
            if let tls { try TLSOptions.serve(tls, server) }
            let announce = {
                // One line, whatever the number of loops and processes: they share the port.
                guard loop.name == "loop-0", Prefork.taskID == nil else { return }
                if let address = server.localAddress { EchoServer.announce(address) }
            }
            try await server.serve(
                until: .terminationSignals, drain: .seconds(connections.drain), ready: announce
            ) { stream in
                if let lineBytesMax = connections.lineBytesMax {
                    try await echoLines(stream, maxBytes: lineBytesMax)
                } else {
                    try await echoBytes(stream)
                }
            }
        }
    }

    /// The supervisor's line, when every worker serves.
    private func announce(_ supervisor: Prefork.Supervisor) {
        supervisor.onReady = { [unowned supervisor] in
            if let address = supervisor.addresses.first { EchoServer.announce(address) }
        }
    }

    private static func announce(_ address: SocketAddress) {
        StandardOutput.announce("listening on \(address)")
    }

}

/// Refuses what is no time to wait for; nan and inf are none either.
func checkSeconds(_ seconds: Double?, of option: String, allowsZero: Bool = false) throws {
    guard let seconds, !(allowsZero && seconds == 0) else { return }
    guard !(seconds > 0 && seconds <= 86_400) else { return }
    let range = allowsZero ? "from 0" : "above 0,"
    throw ValidationError("\(option) takes seconds \(range) up to 86400, not \(seconds).")
}

nonisolated(nonsending) func echoBytes(_ stream: IOStream) async throws {
    for try await chunk in stream.chunks { try await stream.write(chunk) }
}

nonisolated(nonsending) func echoLines(_ stream: IOStream, maxBytes: Int) async throws {
    for try await line in stream.lines(maxBytes: maxBytes, keepingEnds: true) {
        // What comes after the last newline is no line.
        guard line.last == UInt8(ascii: "\n") else { return }
        try await stream.write(line)
    }
}
