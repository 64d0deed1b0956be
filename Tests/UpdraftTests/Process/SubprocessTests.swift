import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract list 3.6, 2-9, and what programs get and leave.
@Suite struct SubprocessTests {
    @Test("3.6, 2: a dialogue over pipes, then the end", arguments: PollerKind.tested)
    func aProgramAnswersAndEnds(_ poller: PollerKind) async throws {
        try await withLoop(poller: poller) { loop in
            let child = try Subprocess(
                "sh", ["-c", "while read line; do echo \"got $line\"; done; echo bye"],
                stdin: .stream, stdout: .stream)
            try await child.stdin.write("hello\n")
            #expect(try await child.stdout.read(until: "\n") == "got hello\n".bytes)
            try await child.stdin.write("world\n")
            #expect(try await child.stdout.read(until: "\n") == "got world\n".bytes)
            child.stdin.close()
            #expect(try await child.stdout.readToEnd() == "bye\n".bytes)
            #expect(try await child.wait() == .exited(0))
        }
    }

    @Test("3.6, 3: closing stdin is seen by the program")
    func closingStdinEndsTheProgram() async throws {
        try await withLoop { _ in
            let child = try Subprocess("cat", stdin: .stream, stdout: .stream)
            try await child.stdin.write("all of it")
            child.stdin.close()
            #expect(try await child.stdout.readToEnd() == "all of it".bytes)
            #expect(try await child.wait().isSuccess)
        }
    }

    @Test("3.6, 4: standard error as a stream")
    func standardErrorIsAStream() async throws {
        try await withLoop { _ in
            let child = try Subprocess("sh", ["-c", "echo oops >&2"], stderr: .stream)
            #expect(try await child.stderr.readToEnd() == "oops\n".bytes)
            #expect(try await child.wait().isSuccess)
        }
    }

    @Test("3.6, 5: the exit callback gets 0, and returncode agrees")
    func theExitCallbackGetsTheStatus() async throws {
        try await withLoop { loop in
            let child = try Subprocess("true")
            #expect(child.returncode == nil)
            var statuses: [Updraft.ExitStatus] = []
            child.onExit { statuses.append($0) }
            try await loop.turns { !statuses.isEmpty }
            try await loop.turns(3)
            #expect(statuses == [.exited(0)])
            #expect(child.returncode == 0)
        }
    }

    @Test("3.6, 6: the same, awaited")
    func waitingReturnsTheStatus() async throws {
        try await withLoop { _ in
            let child = try Subprocess("true")
            #expect(try await child.waitForExit() == 0)
            #expect(child.returncode == 0)
            #expect(child.status == .exited(0))
        }
    }

    @Test("3.6, 7: a program that was ended reports the negated signal")
    func aTerminatedProgramReportsTheSignal() async throws {
        try await withLoop { _ in
            let child = try Subprocess("cat", stdin: .stream, stdout: .null)
            #expect(child.terminate())
            #expect(try await child.waitForExit(raiseError: false) == -SIGTERM)
            #expect(child.returncode == -SIGTERM)
            let killed = try Subprocess("sleep", ["1000"])
            #expect(killed.kill())
            #expect(try await killed.wait() == .signalled(.sigkill))
            #expect(!killed.kill())
        }
    }

    @Test("3.6, 8: waitForExit throws what did not end well")
    func waitForExitThrowsOnFailure() async throws {
        try await withLoop { _ in
            let child = try Subprocess("false")
            let error = await failure { try await child.waitForExit() } as? SubprocessError
            #expect(error?.code == .failed)
            #expect(error?.status == .exited(1))
            #expect(error?.message.contains("false' ended with exit code 1") == true)
            let killed = try Subprocess("sleep", ["1000"])
            killed.send(.sigint)
            let signalled = await failure { try await killed.waitForExit() } as? SubprocessError
            #expect(signalled?.status == .signalled(.sigint))
        }
    }

    @Test("3.6, 9: waitForExit returns the code on request")
    func waitForExitReturnsTheCode() async throws {
        try await withLoop { _ in
            let child = try Subprocess("sh", ["-c", "exit 42"])
            #expect(try await child.waitForExit(raiseError: false) == 42)
        }
    }

    // MARK: What the program gets

    @Test func standardErrorMayGoWhereOutputGoes() async throws {
        try await withLoop { _ in
            let child = try Subprocess(
                "sh", ["-c", "echo one; echo two >&2; echo three"], stdout: .stream,
                stderr: .standardOutput)
            #expect(try await child.stdout.readToEnd() == "one\ntwo\nthree\n".bytes)
            _ = try await child.wait()
            #expect(throws: SubprocessError.self) {
                _ = try Subprocess("true", stdout: .standardOutput)
            }
        }
    }

    @Test func aDescriptorOfTheCallersIsPassedOnAndStaysOpen() async throws {
        try await withLoop { _ in
            let pipe = SystemPipe()
            let child = try Subprocess(
                "sh", ["-c", "echo here"], stdout: .descriptor(pipe.writeEnd))
            _ = try await child.wait()
            pipe.put("too".bytes)
            #expect(pipe.take(16) == "here\ntoo".bytes)
        }
    }

    @Test func theProgramSeesItsNameArgumentsEnvironmentAndDirectory() async throws {
        try await withLoop { _ in
            let script = "echo \"$0|$1|$2|$FRUIT|$HOME|$(pwd)\""
            let output = try await Subprocess.run(
                "sh", ["-c", script, "name", "a b", "'"],
                environment: ["FRUIT": "pear=apple", "PATH": Subprocess.environment["PATH"] ?? ""],
                workingDirectory: "/")
            #expect(output.stdout == "name|a b|'|pear=apple||/\n".bytes)
        }
    }

    @Test func aProgramIsLookedForInThePathOfItsEnvironment() async throws {
        try await withLoop { _ in
            let missing = await failure {
                try Subprocess("updraft-no-such-program", environment: ["PATH": "/bin::/usr/bin"])
            }
            #expect((missing as? SubprocessError)?.code == .programNotFound)
            #expect("\(missing ?? Broken())".contains("updraft-no-such-program"))
            let elsewhere = await failure { try Subprocess("sh", environment: ["PATH": "/proc"]) }
            #expect((elsewhere as? SubprocessError)?.code == .programNotFound)
            // There, but not to be executed.
            let refused = await failure {
                try Subprocess("null", environment: ["PATH": "/dev"])
            }
            #expect((refused as? SubprocessError)?.code == .notExecutable)
            // The same folder from everywhere, but it would be another one in another directory.
            let relative = String(repeating: "../", count: 64) + "usr/bin"
            let unclear = await failure {
                try Subprocess("env", environment: ["PATH": relative], workingDirectory: "/")
            }
            #expect((unclear as? SubprocessError)?.code == .programNotFound)
            let behind = try Subprocess("env", environment: ["PATH": relative + ":/usr/bin"])
            #expect(behind.program == "/usr/bin/env")
            _ = try await behind.wait()
            let odd = await failure { try Subprocess("sh", environment: ["A=B": "C"]) }
            #expect((odd as? SubprocessError)?.code == .invalidArgument)
            let found = try Subprocess("true")
            #expect(found.program.hasSuffix("/true"))
            _ = try await found.wait()
        }
    }

    @Test func theProgramSeesOnlyItsThreeDescriptors() async throws {
        try await withLoop { _ in
            let leaky = dup2(STDERR_FILENO, 301)
            defer { close(leaky) }
            let script = "n=0; while [ $n -lt 400 ]; do [ -e /proc/$$/fd/$n ] && echo $n; "
            let child = try Subprocess(
                "sh", ["-c", script + "n=$((n + 1)); done"], stdin: .stream, stdout: .stream,
                stderr: .stream)
            #expect(try await child.stdout.readToEnd() == "0\n1\n2\n".bytes)
            child.closeStreams()
            _ = try await child.wait()
        }
    }

    @Test func aStreamThatWasNotAskedForStopsTheProgramWithASentence() async {
        let result = await #expect(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            try await withLoop { _ in
                let child = try Subprocess("true")
                child.stdin.close()
            }
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("start it with stdin: .stream"))
    }

    // MARK: Many, and what is left

    @Test(.timeLimit(.minutes(2)))
    func twoHundredProgramsRunAtOnce() async throws {
        try await withLoop { loop in
            let children = try (0..<200).map {
                try Subprocess("sh", ["-c", "read x; exit \($0)"], stdin: .stream)
            }
            for child in children { child.stdin.close() }
            for (number, child) in children.enumerated() {
                #expect(try await child.waitForExit(raiseError: false) == Int32(number))
            }
            #expect(Set(children.map(\.pid)).count == 200)
        }
    }

    @Test func programsLeaveNoDescriptorsAndNoZombies() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                func use() async throws {
                    let child = try Subprocess(
                        "cat", stdin: .stream, stdout: .stream, stderr: .stream)
                    try await child.stdin.write("x")
                    child.stdin.close()
                    _ = try await child.stdout.readToEnd()
                    _ = try await child.stderr.readToEnd()
                    _ = try await child.wait()
                    precondition(
                        (try? Subprocess("./none", stdin: .stream, stdout: .stream)) == nil)
                    _ = try await Subprocess.run("cat", input: [1])
                    try? await withSubprocess("cat", stdin: .stream, stdout: .stream) { _ in }
                    try? await withSubprocess("cat", stdin: .stream, stdout: .stream) { _ in
                        throw CancellationError()
                    }
                }
                try await use()
                try await loop.turns(3)
                let (descriptors, streams) = (openDescriptors(), loop.openStreams)
                for _ in 0..<40 { try await use() }
                try await loop.turns(3)
                // The test harness has some of its own that come and go; one that is left by each
                // of five starts would be two hundred.
                precondition(openDescriptors() < descriptors + 40)
                precondition(loop.openStreams == streams)
                precondition(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD)
            }
        }
    }

    @Test func aLoopThatEndsClosesTheStreamsOfItsPrograms() async {
        await #expect(processExitsWith: .success) {
            let before = openDescriptors()
            for _ in 0..<20 {
                try IOLoop.run { _ in
                    // It ends because its input does.
                    _ = try Subprocess("cat", stdin: .stream, stdout: .stream, stderr: .stream)
                }
            }
            precondition(openDescriptors() < before + 20)
            while waitpid(-1, nil, WNOHANG) == 0 { sched_yield() }
        }
    }

    @Test func aProgramThatEndsClosesItsInput() async throws {
        try await withLoop { loop in
            let child = try Subprocess("true", stdin: .stream)
            try await child.stdin.closed()
            #expect((child.stdin.closeReason?.cause as? SystemError)?.isBrokenPipe == true)
            #expect(try await child.wait().isSuccess)
            #expect(await streamFailure { try await child.stdin.write("x") } == .closed)
        }
    }

    @Test func dumpNamesTheProgramsThatRun() async throws {
        try await withLoop { loop in
            let child = try Subprocess("sleep", ["1000"])
            let waiting = loop.spawn { _ = try await child.wait() }
            try await loop.turns(2)
            let dump = loop.dump()
            #expect(dump.contains("sleep', pid \(child.pid)"))
            #expect(dump.contains("a program to end"))
            child.kill()
            await waiting.value
        }
    }
}
