package import Logging
import Synchronization
package import Updraft

#if THREAD_SANITIZER
    private typealias Mutex = SanitizedMutex
#endif

/// What a loop or a server tells: its log lines, and the errors that nobody handled.
package final class LogCapture {
    private let lines = LogLines()
    /// Errors that reached the loop's hook.
    package private(set) var unhandled = 0

    /// Takes the place of the loop's logger and of its hook for errors.
    package init(of loop: IOLoop) {
        loop.logger = lines.logger
        loop.onUnhandledError = { [weak self] _, _ in self?.unhandled += 1 }
    }

    /// Takes the place of the server's logger, too.
    package func add(_ server: TCPServer) {
        server.logger = lines.logger
    }

    /// Everything from `debug` on.
    package var all: [String] { lines.all }

    /// What somebody would be told who does not look for it.
    package var noise: [String] {
        lines.all.filter { !$0.hasPrefix("debug") } + (unhandled > 0 ? ["unhandled"] : [])
    }
}

/// Log lines, from any thread: "LEVEL: MESSAGE", from `debug` on.
package final class LogLines: Sendable {
    private let state = Mutex<[String]>([])

    package init() {}

    package var all: [String] { state.withLock { $0 } }

    /// The lines with these texts.
    package func with(_ texts: String...) -> [String] {
        all.filter { line in texts.allSatisfy { line.contains($0) } }
    }

    package var logger: Logger {
        Logger(label: "test") { _ in CapturingHandler(lines: self) }
    }

    package func add(_ line: String) {
        state.withLock { $0.append(line) }
    }
}

private struct CapturingHandler: LogHandler {
    let lines: LogLines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        lines.add("\(event.level): \(event.message)")
    }
}
