import Glibc
import Updraft

// A program that stops in the way that its argument names; see Tests/Programs/test_shutdown.py.

@main
struct ShutdownProbe {
    static func main() {
        let way = CommandLine.arguments.dropFirst().first ?? ""
        if way == "several-loops" {
            IOLoop.main(loops: 3) { loop in try await serve(loop, way) }
        }
        IOLoop.main { loop in try await serve(loop, way) }
    }

    /// Answers each line, after a wait that never ends if the line is `hang`.
    static nonisolated(nonsending) func serve(_ loop: IOLoop, _ way: String) async throws {
        if way == "body-throws" { throw ProbeError(description: "the body failed") }
        addHook(loop, way)
        // Of the program's own, for as long as it starts.
        let own = way == "own-handler" ? try loop.addSignalHandler(.sigterm) {} : nil
        let server = TCPServer(port: 0)
        let announce = {
            if let own { loop.removeSignalHandler(own) }
            guard !loop.name.hasSuffix("-1"), !loop.name.hasSuffix("-2") else { return }
            if let address = server.localAddress {
                StandardOutput.announce("listening on \(address)")
            }
        }
        let limit: Duration = way == "quick" ? .milliseconds(300) : .seconds(60)
        try await server.serve(until: .terminationSignals, drain: limit, ready: announce) {
            stream in
            for try await line in stream.lines {
                if line == Array("block".utf8) {
                    try await stream.write("blocking\n")
                    try await stream.flush()
                    sleepForEver()
                }
                if line == Array("hang".utf8) { try await loop.sleep(for: .seconds(3_600)) }
                try await stream.write(line + [10])
            }
        }
    }

    static func addHook(_ loop: IOLoop, _ way: String) {
        switch way {
        case "hook-waits":
            loop.onStop("store") {
                StandardOutput.announce("hook begins")
                try await loop.sleep(for: .seconds(3_600))
            }
        case "hook-blocks":
            loop.onStop("store") {
                StandardOutput.announce("hook begins")
                sleepForEver()
            }
        case "hook-fails":
            loop.onStop("store") { throw ProbeError(description: "the disk is full") }
        default:
            loop.onStop("store") {
                loop.addCallback { StandardOutput.announce("the last callback has run") }
            }
        }
    }

    static func sleepForEver() {
        while true { sleep(1_000) }
    }
}

struct ProbeError: Error, CustomStringConvertible {
    let description: String
}
