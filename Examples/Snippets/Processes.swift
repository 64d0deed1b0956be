// The code of docs/processes.md.

import Updraft

func serveInProcesses() throws {
    try Prefork.run(processes: 0, listen: [.tcp(port: 7000)]) { loop in
        try await TCPServer(port: 7000).serve(until: .terminationSignals) { stream in
            for try await chunk in stream.chunks { try await stream.write(chunk) }
        }
    }
}

func superviseWorkers() throws {
    var options = Prefork.Options()
    options.restartsMax = 20
    options.stopTimeout = .seconds(60)
    try Prefork.run(
        processes: 4, listen: [.tcp(host: "0.0.0.0", port: 7000)], options: options,
        supervisor: { supervisor in
            supervisor.onReady = { [unowned supervisor] in
                StandardOutput.announce("listening on \(supervisor.addresses[0])")
            }
            supervisor.onStart = { worker in
                StandardOutput.announce("worker \(worker.taskID) is process \(worker.pid)")
            }
            supervisor.onExit = { worker, status in
                StandardOutput.announce("worker \(worker.taskID) has ended: \(status)")
            }
        }
    ) { loop in
        // A port of its own beside the one that all share: for its metrics, or to be called alone.
        let own = TCPServer(port: 7100 + (Prefork.taskID ?? 0))
        try own.listen { stream in try await stream.write("worker \(Prefork.taskID ?? 0)\n") }
        try await TCPServer(host: "0.0.0.0", port: 7000).serve(until: .terminationSignals) {
            stream in
            for try await line in stream.lines { try await stream.write(line) }
        }
        own.stop()
    }
}
