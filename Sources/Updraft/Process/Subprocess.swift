/// A program that runs beside this one, with its standard streams on the loop.
///
/// ```swift
/// let child = try Subprocess("sort", ["-r"], stdin: .stream, stdout: .stream)
/// try await child.stdin.write("pear\napple\n")
/// child.stdin.close()
/// for try await line in child.stdout.lines { print(String(decoding: line, as: UTF8.self)) }
/// try await child.waitForExit()
/// ```
///
/// The program has the standard descriptors as they are asked for, and none of this process's
/// others; no signal is blocked in it. Its end is noticed whether anybody waits or not. Ending is
/// up to the caller: this object may go away, and a wait may be cancelled, while the program goes
/// on. `withSubprocess` and `run` end it with their scope. Contract list 3.6, 2-9.
public final class Subprocess {
    /// Where one of the program's standard descriptors leads to.
    public enum Redirection: Hashable, Sendable {
        /// To a stream on the loop: `stdin`, `stdout` or `stderr`.
        case stream
        /// To where this process's own leads.
        case inherit
        /// Nowhere: empty as input; as output it takes everything.
        case null
        /// To an open descriptor of this process, which stays the caller's.
        case descriptor(Int32)
        /// For standard error only: to where standard output leads.
        case standardOutput
    }

    /// Who gets the signals of the terminal, such as SIGINT for Ctrl-C.
    public enum Group: Sendable {
        /// The program together with this process.
        case shared
        /// The program alone, with what it starts itself: a process group of its own.
        case own
        /// The same, and it has no terminal: a session of its own.
        case ownSession
    }

    /// What is rarely asked for.
    public struct Options: Sendable {
        /// Bounds of the streams. Closing standard input has a year for what is unsent: if the
        /// program ends before, the pipe breaks and the stream is closed.
        public var stream: StreamOptions

        /// The process group.
        public var group = Group.shared

        /// What the program gets when the thread that starts it ends, with this process or before
        /// it; nil for nothing. Linux only: elsewhere the start fails.
        public var deathSignal: Signal?

        /// The defaults.
        public init() {
            stream = StreamOptions()
            stream.closeTimeout = .seconds(31_536_000)
        }
    }

    /// The program's file, as it was found.
    public let program: String

    private let child: ChildProcess
    private let streams: [IOStream?]

    /// Starts a program, and returns when it has begun. This blocks the loop for about a
    /// millisecond.
    ///
    /// - Parameters:
    ///   - program: A file, or a name without a slash, which is looked for in the environment's
    ///     PATH, in folders that are absolute. A relative file is relative to `workingDirectory`.
    ///   - arguments: Without the program's own name.
    ///   - environment: All of it; nil for this process's own, which is `Subprocess.environment`.
    ///   - workingDirectory: Nil for this process's own.
    /// - Throws: `SubprocessError` with `.programNotFound`, `.notExecutable`, `.cannotStart` or
    ///   `.invalidArgument` (a text with a NUL); `SystemError` if no descriptors are left;
    ///   `LoopError` if the loop is closed. Nothing is left open or running then.
    /// - Precondition: There is a loop on this thread.
    public init(
        _ program: String, _ arguments: [String] = [], stdin: Redirection = .inherit,
        stdout: Redirection = .inherit, stderr: Redirection = .inherit,
        environment: [String: String]? = nil, workingDirectory: String? = nil,
        options: Options = Options()
    ) throws {
        let loop = IOLoop.current
        let file = try ProgramLookup.find(program, in: environment ?? Subprocess.environment)
        var request = SpawnRequest(
            path: file, arguments: [program] + arguments,
            environment: try environment.map(Subprocess.entries))
        request.workingDirectory = workingDirectory
        request.group = options.group
        request.deathSignal = options.deathSignal
        var standard = try StandardDescriptors(
            stdin: stdin, stdout: stdout, stderr: stderr, loop: loop, options: options.stream)
        defer { standard.closeProgramEnds() }
        request.descriptors = standard.passed
        do {
            child = try ChildProcess(request, on: loop)
        } catch {
            standard.abortStreams()
            throw error
        }
        self.program = file
        streams = standard.streams
    }

    /// The environment of this process: a copy to change and to give to a program. Of names that
    /// it has twice, the first counts.
    public static var environment: [String: String] {
        let pairs = SpawnRequest.currentEnvironment.compactMap { entry -> (String, String)? in
            guard let sign = entry.firstIndex(of: "=") else { return nil }
            return (String(entry[..<sign]), String(entry[entry.index(after: sign)...]))
        }
        return Dictionary(pairs) { first, _ in first }
    }

    private static func entries(of environment: [String: String]) throws -> [String] {
        if let bad = environment.keys.first(where: { $0.isEmpty || $0.contains("=") }) {
            throw SubprocessError(
                .invalidArgument, "'\(bad)' can't be the name of an environment variable.")
        }
        return environment.map { "\($0)=\($1)" }.sorted()
    }

    // MARK: Streams

    /// Writes to the program's standard input. Close it to let the program see the end.
    ///
    /// - Precondition: The program was started with `stdin: .stream`.
    public var stdin: IOStream { stream(0, "stdin") }

    /// Reads the program's standard output. At the end, which comes when nobody has the pipe open
    /// for writing any more, it closes itself.
    ///
    /// - Precondition: The program was started with `stdout: .stream`.
    public var stdout: IOStream { stream(1, "stdout") }

    /// Reads the program's standard error; otherwise as `stdout`.
    ///
    /// - Precondition: The program was started with `stderr: .stream`.
    public var stderr: IOStream { stream(2, "stderr") }

    private func stream(_ number: Int, _ name: String) -> IOStream {
        if let stream = streams[number] { return stream }
        Misuse.stop("\(name) of '\(program)' was used; start it with \(name): .stream for that.")
    }

    /// Closes the streams that there are: what was written is still sent, what comes is dropped.
    /// The program goes on, as far as it can with closed pipes.
    public func closeStreams() {
        for stream in streams { stream?.close() }
    }

    // MARK: The end

    /// The process id. When the program has ended the system may give it to another one.
    public var pid: Int32 { child.pid }

    /// How the program ended; nil as long as the loop knows of no end.
    public var status: ExitStatus? { child.status }

    /// The exit code, or the negated number of the signal that ended the program (contract list
    /// 3.6, 5 and 7); nil as long as it runs.
    public var returncode: Int32? { status?.returncode }

    /// Waits for the program's end. Any number of tasks may, also after it.
    ///
    /// A wait that is cancelled or times out leaves the program running.
    ///
    /// - Throws: `CancellationError`; `TimeoutError`; `LoopError` if the loop is closed first.
    public nonisolated(nonsending) func wait() async throws -> ExitStatus {
        try await child.wait()
    }

    /// Waits for the program's end and returns its `returncode` (contract list 3.6, 8 and 9).
    ///
    /// - Parameter raiseError: Whether to throw if the program did not end with code 0.
    /// - Throws: `SubprocessError` with `.failed`, whose `status` says how it ended, also if that
    ///   is unknown; otherwise as `wait`.
    @discardableResult
    public nonisolated(nonsending) func waitForExit(
        raiseError: Bool = true
    ) async throws -> Int32 {
        let status = try await child.wait()
        if let code = status.returncode, code == 0 || !raiseError { return code }
        throw SubprocessError.failed(program, status)
    }

    /// Calls `callback` once on the loop, in a turn after the end was noticed, with the caller's
    /// task-locals, also if the program has ended already; never if the loop is closed first.
    ///
    /// What it throws goes to `IOLoop.onUnhandledError`.
    public func onExit(_ callback: @escaping (ExitStatus) throws -> Void) {
        child.onExit(callback)
    }

    /// Sends a signal to the program; it never reaches another one that got the pid later.
    ///
    /// - Returns: Whether it was sent: not if the program has ended, if there is no such signal, or
    ///   if the system forbids it because the program has changed its user.
    @discardableResult
    public func send(_ signal: Signal) -> Bool {
        child.send(signal)
    }

    /// Asks the program to end: SIGTERM; see `send`.
    @discardableResult
    public func terminate() -> Bool {
        send(.sigterm)
    }

    /// Ends the program at once: SIGKILL; see `send`.
    @discardableResult
    public func kill() -> Bool {
        send(.sigkill)
    }

    /// For scopes that fail: ends the program, frees the streams, and waits for the end.
    ///
    /// A program that may not be killed ends when it likes. It is not waited for, since nothing
    /// could break off that wait; the loop reaps it.
    nonisolated(nonsending) func discard() async {
        for stream in streams { stream?.abort() }
        guard kill() else { return }
        await child.waitUncancellably()
    }
}
