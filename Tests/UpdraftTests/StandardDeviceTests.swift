import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// What stands for standard input and output and can't be opened anew, or fails: contract row J20.
/// Each test is a process of its own.
@Suite struct StandardDeviceTests {
    /// `/proc/self/fd/N` of `/dev/ptmx` is a new terminal, of which nobody knows.
    @Test func theOuterSideOfATerminalIsItself() async {
        await #expect(processExitsWith: .success) {
            alarm(20)
            try IOLoop.run { loop in
                let (master, terminal) = openTerminal()
                makeRaw(terminal)
                for number: Int32 in [0, 1] { dup2(master, number) }
                let input = try IOStream.standardInput(on: loop)
                let output = try IOStream.standardOutput(on: loop)
                let reading = loop.async { try await input.read(exactly: 6) }
                try await loop.turns(3)
                must(!reading.isDone)
                must(write(terminal, "answer", 6) == 6)
                must(try await reading.value == "answer".bytes)
                try await output.write("question")
                try await output.flush()
                var bytes = [UInt8](repeating: 0, count: 100)
                must(read(terminal, &bytes, 100) == 8 && bytes.starts(with: "question".bytes))
                must(fcntl(0, F_GETFL) & O_NONBLOCK == 0)
                // That nobody is left is the end.
                close(terminal)
                must(try await input.readToEnd() == [])
            }
        }
    }

    /// More than 256 bytes at a time stop it in one of ten runs or so: how much room there is
    /// depends on what the kernel has passed on.
    @Test func aFullTerminalThatIsSharedDoesNotStopTheLoop() async {
        await #expect(processExitsWith: .success) {
            alarm(20)
            for poller in [PollerChoice.epoll, .select] {
                for _ in 0..<40 {
                    try IOLoop.run(poller: poller) { try await fillATerminal(on: $0) }
                }
            }
        }
    }

    /// Its error is told once: to the first of the two streams that look.
    @Test func bothStreamsOfASocketThatWasResetSaySo() async {
        await #expect(processExitsWith: .success) {
            for isReading in [false, true] {
                try IOLoop.run { loop in
                    let far = try await connectStandardStreams(on: loop)
                    let input = try IOStream.standardInput(on: loop)
                    let output = try IOStream.standardOutput(on: loop)
                    let reading = loop.async { await failure { try await input.readToEnd() } }
                    if isReading { try await loop.turns(until: { input.isReading }) }
                    far.abort()
                    try await output.closed()
                    must((output.closeReason?.cause as? SystemError)?.errno == ECONNRESET)
                    let error = try await reading.value as? StreamError
                    must((error?.cause as? SystemError)?.errno == ECONNRESET)
                }
            }
        }
    }

    @Test func outputToASocketThatNobodyReadsIsABrokenPipe() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                var ends: [Int32] = [-1, -1]
                must(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
                dup2(ends[0], 1)
                close(ends[0])
                let output = try IOStream.standardOutput(on: loop)
                try await loop.turns(3)
                close(ends[1])
                try await output.closed()
                must((output.closeReason?.cause as? SystemError)?.isBrokenPipe == true)
            }
        }
    }
}

/// Writes to a terminal that nobody reads, and reads it then.
private nonisolated(nonsending) func fillATerminal(on loop: IOLoop) async throws {
    let (master, terminal) = openTerminal()
    makeRaw(terminal)
    dup2(master, 1)
    let output = try IOStream.standardOutput(on: loop)
    var random = SeededGenerator(seed: 5)
    let bytes = random.bytes(40_000)
    try output.enqueue(bytes)
    try await loop.turns(20)
    must(output.unsentBytes > 0)
    // A second thread reads what the loop's thread writes.
    let reading = loop.async {
        try await loop.runInExecutor { readAll(40_000, from: terminal) }
    }
    try await output.flush()
    must(try await reading.value == bytes)
    must(fcntl(1, F_GETFL) & O_NONBLOCK == 0)
    close(master)
    close(terminal)
}

/// Bytes go through as they are.
private func makeRaw(_ terminal: Int32) {
    var settings = termios()
    tcgetattr(terminal, &settings)
    cfmakeraw(&settings)
    tcsetattr(terminal, TCSANOW, &settings)
}

private func readAll(_ count: Int, from descriptor: Int32) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var got = 0
    while got < count {
        let more = bytes.withUnsafeMutableBytes {
            read(descriptor, $0.baseAddress! + got, count - got)
        }
        if more <= 0 { break }
        got += more
    }
    return Array(bytes[..<got])
}

/// Puts one end of a TCP connection in the place of descriptors 0 and 1. The other end.
private nonisolated(nonsending) func connectStandardStreams(
    on loop: IOLoop
) async throws -> IOStream {
    let server = TCPServer(port: 0)
    let accepted = Queue<IOStream>()
    try server.listen { stream in
        try accepted.putNowait(stream)
        try await stream.closed()
    }
    let near = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
    let far = try await accepted.get()
    let descriptor = try near.detach().release()
    for number: Int32 in [0, 1] { dup2(descriptor, number) }
    close(descriptor)
    return far
}
