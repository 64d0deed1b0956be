import ArgumentParser
import Updraft
import UpdraftCommandCore
import UpdraftRPC

/// The options of every command.
struct Target: ParsableArguments {
    @Option(help: "Seconds to wait, for the connection and for the answer.")
    var timeout = 30.0

    /// A day.
    private static let timeoutMax = 86_400.0

    static let endpointHelp = ArgumentHelp(
        "The server; an IPv6 address in brackets.", valueName: "host:port")

    static func endpoint(_ text: String) throws -> Endpoint {
        guard let endpoint = Endpoint(text) else {
            throw ValidationError(
                "'\(text)' is not HOST:PORT with a port from 1 to 65535 (IPv6 as [::1]:5700).")
        }
        return endpoint
    }

    func validate() throws {
        guard timeout > 0, timeout <= Self.timeoutMax else {
            throw ValidationError(
                "--timeout must be more than 0 and at most \(Int(Self.timeoutMax)) seconds.")
        }
    }
}

/// One connection, what is done with it, and the exit code that comes of it.
struct Session: Sendable {
    private enum Failure: Error {
        case noConnection(any Error)
        case noAnswer(any Error)
    }

    private let endpoint: Endpoint
    private let timeout: Duration

    init(_ endpoint: Endpoint, _ target: Target) {
        self.endpoint = endpoint
        timeout = .seconds(target.timeout)
    }

    /// Connects, runs the body, sends what it left unsent, and closes.
    ///
    /// - Throws: `ExitCode`, after the reason was printed.
    func run(
        _ body: nonisolated(nonsending) sending @escaping (RPCPeer) async throws -> Void
    ) throws {
        do {
            try IOLoop.run { _ in
                let peer = try await connect()
                do {
                    try await withTimeout(timeout) {
                        try await body(peer)
                        peer.close()
                        try await peer.closed()
                    }
                } catch {
                    throw Failure.noAnswer(error)
                }
            }
        } catch Failure.noConnection(let error) {
            StandardOutput.complain("updraft: no connection to \(endpoint): \(text(of: error))")
            throw ExitCode(2)
        } catch Failure.noAnswer(let error as RPCError) where error.code == .connectionLost {
            StandardOutput.complain("updraft: the connection to \(endpoint) was lost: \(error)")
            throw ExitCode(2)
        } catch Failure.noAnswer(let error) {
            StandardOutput.complain("updraft: \(text(of: error))")
            throw ExitCode(1)
        }
    }

    private nonisolated(nonsending) func connect() async throws -> RPCPeer {
        // The limit of the command is the only one: what is behind it must not end the call first.
        var options = RPCOptions()
        options.callTimeout = timeout
        do {
            return try await RPCClient.connect(
                host: endpoint.host, port: endpoint.port, timeout: timeout, options: options)
        } catch {
            throw Failure.noConnection(error)
        }
    }

    private func text(of error: any Error) -> String {
        switch error {
        // Its own sentence would name the address once more.
        case let error as StreamError where error.code == .cannotConnect && error.cause != nil:
            error.cause.map { "\($0)" } ?? ""
        case is TimeoutError: "no answer within \(timeout)"
        case let error as RPCError where error.code == .timeout: "no answer within \(timeout)"
        default: "\(error)"
        }
    }
}
