#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

// The whole of a program.
extension IOLoop {
    /// Runs `body` as the whole program, and ends the process: the entry point of most programs.
    ///
    /// ```swift
    /// @main struct Echo {
    ///     static func main() {
    ///         IOLoop.main { loop in
    ///             try await TCPServer(port: 7000).serve(until: .terminationSignals) { stream in
    ///                 for try await chunk in stream.chunks { try await stream.write(chunk) }
    ///             }
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// As `IOLoop.run`, but an error becomes one line on standard error, which begins with the
    /// program's name, and the exit code 1; thrown out of `main`, Swift would print a crash. The
    /// exit code is 0 only if nothing was cut and no stop hook failed; see `docs/shutdown.md`.
    ///
    /// - Parameters:
    ///   - poller: Which of the system's pollers the loop uses.
    ///   - body: Gets the loop.
    public static func main(
        poller: PollerChoice = .best,
        _ body: nonisolated(nonsending) sending @escaping (IOLoop) async throws -> Void
    ) -> Never {
        do {
            try run(poller: poller, body)
        } catch {
            exitComplaining(error)
        }
        exit(EXIT_SUCCESS)
    }

    /// Runs `body` on several loops as the whole program, and ends the process: `run(loops:)` as
    /// `main(poller:_:)` does it for one.
    ///
    /// - Parameters:
    ///   - count: 0 makes one loop for each processor that the process may use.
    ///   - poller: Which of the system's pollers the loops use.
    ///   - body: Gets the loop; called once on each.
    public static func main(
        loops count: Int, poller: PollerChoice = .best,
        _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> Void
    ) -> Never {
        do {
            try run(loops: count, poller: poller, body)
        } catch {
            exitComplaining(error)
        }
        exit(EXIT_SUCCESS)
    }

    private static func exitComplaining(_ error: any Error) -> Never {
        let path = CommandLine.arguments.first ?? ""
        let name = path.split(separator: "/").last.map(String.init) ?? "program"
        StandardOutput.complain("\(name): \(error)")
        exit(EXIT_FAILURE)
    }
}
