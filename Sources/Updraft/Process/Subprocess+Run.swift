extension Subprocess {
    /// What a program that has ended has written.
    public struct Output: Sendable {
        /// How it ended.
        public let status: ExitStatus

        /// What it wrote to standard output.
        public let stdout: [UInt8]

        /// What it wrote to standard error; empty if that led elsewhere.
        public let stderr: [UInt8]
    }

    /// Runs a program to its end, gives it `input`, and returns what it writes.
    ///
    /// ```swift
    /// let log = try await Subprocess.run("git", ["log", "--oneline"], workingDirectory: folder)
    /// ```
    ///
    /// It ends when the program has ended and nobody has its pipes open any more: a program that it
    /// has left in the background may hold them. Whatever this throws, the program has been killed
    /// and has ended by then, but not what it has started itself. Only a program that has changed
    /// its user, so that the system forbids to kill it, goes on: the loop reaps it when it ends.
    ///
    /// - Parameters:
    ///   - program: As in `Subprocess.init`, and so the other parameters.
    ///   - input: Standard input. The rest is dropped if the program does not read it all.
    ///   - outputMax: Bytes that it may write to each of standard output and standard error.
    ///   - stderr: `.stream` keeps it in the result.
    ///   - raiseError: Whether to throw if the program does not end with code 0.
    /// - Throws: `SubprocessError` as `init`, with `.failed` (the message has the last line of what
    ///   was kept of standard error) and with `.outputTooLarge`; `CancellationError`;
    ///   `TimeoutError`.
    public static nonisolated(nonsending) func run(
        _ program: String, _ arguments: [String] = [], input: [UInt8] = [],
        outputMax: Int = 1 << 20, stderr: Redirection = .stream, raiseError: Bool = true,
        environment: [String: String]? = nil, workingDirectory: String? = nil,
        options: Options = Options()
    ) async throws -> Output {
        let child = try Subprocess(
            program, arguments, stdin: input.isEmpty ? .null : .stream, stdout: .stream,
            stderr: stderr, environment: environment, workingDirectory: workingDirectory,
            options: options)
        let exchange = Exchange(child, outputMax: outputMax, keepsErrors: stderr == .stream)
        do {
            let output = try await exchange.run(input)
            if raiseError, !output.status.isSuccess {
                throw SubprocessError.failed(child.program, output.status, saying: output.stderr)
            }
            return output
        } catch {
            await child.discard()
            throw error
        }
    }
}

/// Runs `body` with a program that ends with it.
///
/// ```swift
/// let sum = try await withSubprocess("bc", stdin: .stream, stdout: .stream) { bc in
///     try await bc.stdin.write("6 * 7\n")
///     return try await bc.stdout.read(until: "\n")
/// }
/// ```
///
/// When the body returns, the program's standard input is closed, what it has written and nobody
/// has read is dropped, and its end is waited for; how it ends is up to the body to look at. When
/// the body throws, or this wait is cancelled or times out, it is killed. Either way it has ended
/// and its descriptors are free when this returns or throws, but for one case: when it is to be
/// killed and the system forbids that, because it has changed its user, it goes on, and the loop
/// reaps it when it ends.
///
/// - Parameters: As `Subprocess.init`.
/// - Throws: As `Subprocess.init`, and what the body throws; `CancellationError`; `TimeoutError`.
public nonisolated(nonsending) func withSubprocess<R>(
    _ program: String, _ arguments: [String] = [], stdin: Subprocess.Redirection = .inherit,
    stdout: Subprocess.Redirection = .inherit, stderr: Subprocess.Redirection = .inherit,
    environment: [String: String]? = nil, workingDirectory: String? = nil,
    options: Subprocess.Options = Subprocess.Options(),
    _ body: nonisolated(nonsending) (Subprocess) async throws -> R
) async throws -> R {
    let child = try Subprocess(
        program, arguments, stdin: stdin, stdout: stdout, stderr: stderr,
        environment: environment, workingDirectory: workingDirectory, options: options)
    do {
        let result = try await body(child)
        child.closeStreams()
        _ = try await child.wait()
        return result
    } catch {
        await child.discard()
        throw error
    }
}

/// What `run` says to a program and hears of it, all at once, so that no full pipe stops either.
private final class Exchange {
    private let child: Subprocess
    private let outputMax: Int
    private let keepsErrors: Bool
    private var stdout: [UInt8] = []
    private var stderr: [UInt8] = []

    init(_ child: Subprocess, outputMax: Int, keepsErrors: Bool) {
        self.child = child
        self.outputMax = outputMax
        self.keepsErrors = keepsErrors
    }

    nonisolated(nonsending) func run(_ input: [UInt8]) async throws -> Subprocess.Output {
        try await IOLoop.current.group { group in
            if !input.isEmpty { group.spawn { try await self.send(input) } }
            group.spawn { try await self.collect(self.child.stdout, "output", \.stdout) }
            if keepsErrors {
                group.spawn { try await self.collect(self.child.stderr, "error", \.stderr) }
            }
        }
        let status = try await child.wait()
        return Subprocess.Output(status: status, stdout: stdout, stderr: stderr)
    }

    private nonisolated(nonsending) func send(_ input: [UInt8]) async throws {
        do {
            try await child.stdin.write(input)
            try await child.stdin.flush()
        } catch is StreamError {
            // It has closed its input: what it does not read it does not want.
        }
        child.stdin.close()
    }

    private nonisolated(nonsending) func collect(
        _ stream: IOStream, _ name: String,
        _ kept: ReferenceWritableKeyPath<Exchange, [UInt8]>
    ) async throws {
        for try await chunk in stream.chunks {
            if self[keyPath: kept].count + chunk.count > outputMax {
                throw SubprocessError(
                    .outputTooLarge,
                    "'\(child.program)' wrote more than \(outputMax) bytes to standard \(name).")
            }
            self[keyPath: kept] += chunk
        }
    }
}
