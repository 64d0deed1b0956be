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
        discussion: "Prints 'listening on HOST:PORT' when it is ready. On SIGTERM or SIGINT it "
            + "stops accepting, finishes what is in flight and exits with 0; a second signal ends "
            + "it at once. With several processes SIGHUP restarts them one by one.")

    @Option(help: "The numeric address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "The port; 0 picks a free one.")
    var port = 7000

    @Option(
        help: ArgumentHelp(
            "How the loop waits for its descriptors, as far as the system has it.",
            valueName: "name"))
    var poller = PollerChoice.best

    @Option(
        help: ArgumentHelp(
            "Loops, each on a thread of its own; they share the port. 0 is one per processor.",
            valueName: "n"))
    var loops = 1

    @Option(
        help: ArgumentHelp(
            "Processes that share the port, each with so many loops, and one that looks after "
                + "them. 0 is one per processor; 1 is this process alone.",
            valueName: "n"))
    var processes = 1

    @Flag(help: "Echo each newline-ended line when it is complete, instead of bytes as they come.")
    var line = false

    @Option(
        help: ArgumentHelp(
            "Log, with the stack, whenever the loop is blocked for so many seconds.",
            valueName: "seconds"))
    var logBlocking: Double?

    @Option(
        help: ArgumentHelp(
            "Speak TLS: the certificate and its chain (PEM). SIGHUP reads both files again.",
            valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The private key of --tls-cert (PEM).", valueName: "file"))
    var tlsKey: String?

    func validate() throws {
        guard (tlsCert == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-cert and --tls-key need each other.")
        }
        guard (0...65_535).contains(port) else {
            throw ValidationError("The port must be between 0 and 65535, not \(port).")
        }
        for (name, number) in [("--loops", loops), ("--processes", processes)] {
            guard (0...1_024).contains(number) else {
                throw ValidationError("\(name) must be between 0 and 1024, not \(number).")
            }
        }
        try validateLoopsInAll()
        guard poller.isAvailable else {
            let offered = PollerChoice.allCases.filter(\.isAvailable).map(\.rawValue)
            throw ValidationError(
                "This system has no \(poller.rawValue); --poller can be "
                    + "\(offered.joined(separator: ", ")) here.")
        }
        if let logBlocking, !(logBlocking > 0 && logBlocking <= 86_400) {
            throw ValidationError(
                "--log-blocking takes seconds above 0, up to 86400, not \(logBlocking).")
        }
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

    func run() throws {
        do {
            let body = body(try makeTLSContext())
            if processes == 1 {
                try IOLoop.run(loops: loops, poller: poller, body)
            } else {
                try Prefork.run(
                    processes: processes, loops: loops, poller: poller,
                    listen: [.tcp(host: host, port: port)], supervisor: announce, body)
            }
        } catch let error as StreamError {
            throw failed(error)
        } catch let error as PreforkError {
            throw failed(error)
        } catch let error as TLSError {
            throw failed(error)
        }
    }

    /// What each loop does, in each process.
    private func body(
        _ tls: TLSServerContext?
    ) -> nonisolated(nonsending) @Sendable (IOLoop) async throws -> Void {
        let (host, port, line) = (host, port, line)
        let threshold = logBlocking.map { Duration.seconds($0) }
        return { loop in
            loop.setBlockingLogThreshold(threshold)
            let server = TCPServer(host: host, port: port)
            if let tls { try EchoServer.serveTLS(tls, server) }
            let announce = {
                // One line, whatever the number of loops and processes: they share the port.
                guard loop.name == "loop-0", Prefork.taskID == nil else { return }
                if let address = server.localAddress { EchoServer.announce(address) }
            }
            try await server.serve(until: .terminationSignals, ready: announce) { stream in
                try await line ? echoLines(stream) : echoBytes(stream)
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

    private func makeTLSContext() throws -> TLSServerContext? {
        guard let tlsCert, let tlsKey else { return nil }
        return try TLSServerContext(certificate: .file(tlsCert), privateKey: .file(tlsKey))
    }

    private static func serveTLS(_ context: TLSServerContext, _ server: TCPServer) throws {
        server.useTLS(context)
        // One loop is enough: all of them share the context.
        guard server.loop.name == "loop-0" else { return }
        try server.loop.addSignalHandler(.sighup) {
            do {
                try context.reload()
                StandardOutput.complain("echo-server: the certificate was read again")
            } catch {
                StandardOutput.complain("echo-server: the old certificate stays: \(error)")
            }
        }
    }

    private func failed(_ error: any Error) -> ExitCode {
        StandardOutput.complain("echo-server: \(error)")
        return ExitCode(1)
    }
}

nonisolated(nonsending) func echoBytes(_ stream: IOStream) async throws {
    for try await chunk in stream.chunks { try await stream.write(chunk) }
}

nonisolated(nonsending) func echoLines(_ stream: IOStream) async throws {
    for try await line in stream.lines(keepingEnds: true) {
        // What comes after the last newline is no line.
        guard line.last == UInt8(ascii: "\n") else { return }
        try await stream.write(line)
    }
}
