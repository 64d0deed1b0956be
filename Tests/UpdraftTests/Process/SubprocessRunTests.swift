import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Programs that end with their scope: `Subprocess.run` and `withSubprocess`.
@Suite struct SubprocessRunTests {
    @Test(arguments: PollerKind.tested)
    func runGivesInputAndReturnsOutput(_ poller: PollerKind) async throws {
        try await withLoop(poller: poller) { _ in
            // More than the pipes hold, both ways at once.
            var random = SeededGenerator(seed: 1)
            let input = random.bytes(700_000)
            let output = try await Subprocess.run("cat", input: input)
            #expect(output.stdout == input)
            #expect(output.stderr.isEmpty)
            #expect(output.status == .exited(0))
        }
    }

    @Test func runWithoutInputGivesNone() async throws {
        try await withLoop { _ in
            let output = try await Subprocess.run("cat")
            #expect(output.stdout == [])
        }
    }

    @Test func runThrowsWhatTheProgramSaidLast() async throws {
        try await withLoop { _ in
            let script = "echo out; echo first >&2; echo 'no such pear' >&2; exit 3"
            let error =
                await failure { try await Subprocess.run("sh", ["-c", script]) }
                as? SubprocessError
            #expect(error?.code == .failed)
            #expect(error?.status == .exited(3))
            #expect(error?.message.hasSuffix("exit code 3: no such pear.") == true)
            let output = try await Subprocess.run("sh", ["-c", script], raiseError: false)
            #expect(output.status == .exited(3))
            #expect(output.stdout == "out\n".bytes)
            #expect(output.stderr == "first\nno such pear\n".bytes)
        }
    }

    @Test func runEndsAProgramThatWritesTooMuch() async throws {
        try await withLoop { _ in
            let error =
                await failure { try await Subprocess.run("yes", outputMax: 100_000) }
                as? SubprocessError
            #expect(error?.code == .outputTooLarge)
            #expect(error?.message.contains("more than 100000 bytes to standard output") == true)
            let exact = try await Subprocess.run("head", ["-c100", "/dev/zero"], outputMax: 100)
            #expect(exact.stdout.count == 100)
            let errors =
                await failure {
                    try await Subprocess.run("sh", ["-c", "yes >&2"], outputMax: 100)
                } as? SubprocessError
            #expect(errors?.message.contains("standard error") == true)
        }
    }

    @Test func aProgramNeedNotReadItsInput() async throws {
        try await withLoop { _ in
            let output = try await Subprocess.run(
                "sh", ["-c", "echo done"], input: [UInt8](repeating: 1, count: 1 << 20))
            #expect(output.stdout == "done\n".bytes)
        }
    }

    @Test func aRunThatIsGivenUpEndsTheProgram() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let late = await failure {
                    try await withTimeout(.milliseconds(20)) {
                        try await Subprocess.run("sleep", ["1000"])
                    }
                }
                precondition(late is TimeoutError)
                precondition(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD)
                var ended = false
                let task = loop.spawn {
                    defer { ended = true }
                    _ = try await Subprocess.run("sleep", ["1000"])
                }
                try await loop.turns(3)
                task.cancel()
                await task.value
                precondition(ended)
                precondition(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD)
            }
        }
    }

    @Test func aScopeReturnsItsResultWhenTheProgramHasEnded() async throws {
        try await withLoop { _ in
            var child: Subprocess?
            let answer = try await withSubprocess("cat", stdin: .stream, stdout: .stream) {
                child = $0
                try await $0.stdin.write("42\n")
                return try await $0.stdout.read(until: "\n")
            }
            #expect(answer == "42\n".bytes)
            #expect(child?.returncode == 0)
        }
    }

    @Test func aScopeThatThrowsEndsItsProgram() async throws {
        try await withLoop { _ in
            var child: Subprocess?
            let error = await failure {
                try await withSubprocess("sleep", ["1000"]) {
                    child = $0
                    throw Broken(number: 6)
                }
            }
            #expect(error as? Broken == Broken(number: 6))
            #expect(child?.status == .signalled(.sigkill))
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root may change its user"))
    func aProgramThatMayNotBeKilledIsNotWaitedFor() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { _ in
                var child: Subprocess?
                let error = await failure {
                    try await withSubprocess("sleep", ["1000"], stdin: .stream) {
                        child = $0
                        // Root's program, seen from another user.
                        precondition(setreuid(65_534, 0) == 0 && seteuid(65_534) == 0)
                        throw Broken(number: 7)
                    }
                }
                precondition(error as? Broken == Broken(number: 7))
                guard let child else { preconditionFailure() }
                precondition(child.status == nil && child.stdin.isClosed)
                precondition(seteuid(0) == 0 && child.kill())
                let status = try await child.wait()
                precondition(status == .signalled(.sigkill))
            }
        }
    }

    @Test func aScopeWhoseProgramDoesNotEndCanBeGivenUp() async throws {
        try await withLoop { _ in
            var child: Subprocess?
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.milliseconds(5)) {
                    try await withSubprocess("sleep", ["1000"]) { child = $0 }
                }
            }
            #expect(child?.status == .signalled(.sigkill))
        }
    }
}
