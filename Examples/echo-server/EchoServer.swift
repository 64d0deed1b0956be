import ArgumentParser
import Updraft

/// Echoes bytes, or lines: the smallest real program.
@main
struct EchoServer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo-server",
        abstract: "Sends back whatever it receives, until SIGTERM or SIGINT.",
        discussion: "Prints 'listening on HOST:PORT' when it is ready. On SIGTERM or SIGINT it "
            + "stops accepting, finishes what is in flight and exits with 0; a second signal ends "
            + "it at once.")

    @Option(help: "The numeric address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "The port; 0 picks a free one.")
    var port = 7000

    @Flag(help: "Echo each newline-ended line when it is complete, instead of bytes as they come.")
    var line = false

    func validate() throws {
        guard (0...65_535).contains(port) else {
            throw ValidationError("The port must be between 0 and 65535, not \(port).")
        }
    }

    func run() throws {
        let (host, port, line) = (host, port, line)
        do {
            try IOLoop.run { loop in
                let server = TCPServer(host: host, port: port)
                try server.bind()
                // Whoever reads the line may send a signal at once; `serve` begins to watch for
                // signals in its first turn, which is over when this goes on.
                loop.spawn {
                    try await loop.nextTurn()
                    guard let address = server.localAddress else { return }
                    StandardOutput.announce("listening on \(address)")
                }
                try await server.serve(until: .terminationSignals, drain: .seconds(5)) { stream in
                    try await line ? echoLines(stream) : echoBytes(stream)
                }
            }
        } catch let error as StreamError {
            StandardOutput.complain("echo-server: \(error)")
            throw ExitCode(1)
        }
    }
}

nonisolated(nonsending) func echoBytes(_ stream: IOStream) async throws {
    for try await chunk in stream.chunks { try await stream.write(chunk) }
}

nonisolated(nonsending) func echoLines(_ stream: IOStream) async throws {
    for try await line in stream.lines(keepingEnds: true) { try await stream.write(line) }
}
