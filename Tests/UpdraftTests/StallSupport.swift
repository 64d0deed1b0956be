import Glibc
import Logging
import Synchronization
import Updraft
import UpdraftTesting

/// Log lines, from any thread.
final class LogLines: Sendable {
    private let state = Mutex<[String]>([])
    private let onLine: @Sendable (String) -> Void

    init(onLine: @escaping @Sendable (String) -> Void = { _ in }) { self.onLine = onLine }

    var all: [String] { state.withLock { $0 } }

    func add(_ line: String) {
        state.withLock { $0.append(line) }
        onLine(line)
    }

    var logger: Logger {
        Logger(label: "test") { _ in CapturingHandler(lines: self) }
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

/// Blocks the calling thread, working, until the flag is set.
@inline(never)
func spinUntilSet(_ flag: Flag) {
    while !flag.isSet { sched_yield() }
}

/// Blocks the calling thread in a system call until something can be read.
@inline(never)
func blockInAReadOf(_ descriptor: Int32) {
    var byte: UInt8 = 0
    _ = Glibc.read(descriptor, &byte, 1)
    withExtendedLifetime(byte) {}
}
