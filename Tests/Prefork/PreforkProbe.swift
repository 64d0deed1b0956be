import ArgumentParser
import Glibc
import Updraft

/// A program for the tests of `Prefork`: workers that do what a client tells them.
///
/// The supervisor prints one line for each thing that happens to it. A worker answers lines: `id`,
/// `variable`, `exit N`, `stuck`.
@main
struct PreforkProbe: ParsableCommand {
    @Option var processes = 3
    @Option var loops = 1
    @Option var port = 0
    @Option(help: "Empty for all interfaces.") var host = "127.0.0.1"
    @Option(help: "Restarts before the supervisor gives up.") var restartsMax = 100
    @Option(help: "Milliseconds before the first restart.") var restartDelay = 10
    @Option(help: "Milliseconds that a worker has for its end.") var stopTimeout = 30_000
    @Option(help: "Milliseconds that a worker has to become ready.") var readyTimeout = 30_000
    @Option(help: "Workers end with this code instead of serving.") var end: Int32?
    @Option(help: "Workers throw this instead of serving.") var complaint: String?
    @Flag(help: "Workers leave SIGTERM its default action.") var deaf = false
    @Flag(help: "Workers listen by themselves, with SO_REUSEPORT.") var reusePort = false
    @Flag(help: "Workers listen by themselves, without it.") var own = false
    @Flag(help: "Workers make two servers for the one listener.") var twice = false

    struct Complaint: Error, CustomStringConvertible {
        let description: String
    }

    func run() throws {
        var options = Prefork.Options()
        options.restartsMax = restartsMax
        options.restartDelay = .milliseconds(restartDelay)
        options.stopTimeout = .milliseconds(stopTimeout)
        options.readyTimeout = .milliseconds(readyTimeout)
        let (host, port, end, complaint) = (host, port, end, complaint)
        let (deaf, reusePort, twice) = (deaf, reusePort, twice)
        do {
            try Prefork.run(
                processes: processes, loops: loops,
                listen: reusePort || own ? [] : [.tcp(host: host, port: port)], options: options,
                supervisor: tell
            ) { loop in
                if let end { Glibc.exit(end) }
                if let complaint { throw Complaint(description: complaint) }
                var options = TCPServer.Options()
                options.reusePort = reusePort
                let server = TCPServer(host: host, port: port, options: options)
                if twice { for _ in 0..<2 { try TCPServer(port: port).bind() } }
                try loop.addSignalHandler(.sigusr1) {
                    StandardOutput.announce("worker \(Prefork.taskID ?? -1) got SIGUSR1")
                }
                if deaf { return try await server.serve(serveProbe) }
                try await server.serve(until: .terminationSignals, serveProbe)
            }
        } catch let error as PreforkError {
            StandardOutput.complain("error \(error.code): \(error)")
            throw ExitCode(1)
        } catch let error as StreamError {
            StandardOutput.complain("error \(error.code): \(error)")
            throw ExitCode(1)
        }
        StandardOutput.announce("done, task \(Prefork.taskID.map(String.init) ?? "nil")")
    }

    private func tell(_ supervisor: Prefork.Supervisor) {
        supervisor.onStart = { StandardOutput.announce("started \($0.taskID) \($0.pid)") }
        supervisor.onExit = { StandardOutput.announce("ended \($0.taskID) \($0.pid) \($1)") }
        supervisor.onReady = { [unowned supervisor] in
            let pids = supervisor.workers.map { "\($0.pid)" }.joined(separator: " ")
            let address = supervisor.addresses.first.map { "\($0)" } ?? "127.0.0.1:\(port)"
            StandardOutput.announce("workers \(pids)")
            StandardOutput.announce("addresses \(supervisor.addresses)")
            StandardOutput.announce("listening on \(address)")
        }
    }
}

nonisolated(nonsending) func serveProbe(_ stream: IOStream) async throws {
    for try await line in stream.lines {
        let words = String(decoding: line, as: UTF8.self).split(separator: " ")
        switch words.first {
        case "id":
            let id = Prefork.taskID ?? -1
            try await stream.write("\(id) \(Prefork.workerCount ?? -1) \(getpid())\n")
        case "variable":
            try await stream.write("\(getenv("UPDRAFT_WORKER") == nil ? "hidden" : "seen")\n")
        case "exit":
            exit(words.last.flatMap { Int32($0) } ?? 0)
        case "stuck":
            // The loop's thread is held, as by a program's error.
            while true { pause() }
        default:
            try await stream.write("what?\n")
        }
    }
}
