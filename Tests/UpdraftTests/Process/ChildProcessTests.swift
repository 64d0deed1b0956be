import CUpdraft
import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Starting programs below `Subprocess`, and learning how they ended: contract list 3.6.
@Suite struct ChildProcessTests {
    private static func shell(_ script: String) -> SpawnRequest {
        SpawnRequest(path: "/bin/sh", arguments: ["sh", "-c", script])
    }

    /// What a program writes to standard output.
    private nonisolated(nonsending) static func output(
        of request: SpawnRequest, on loop: IOLoop
    ) async throws -> String {
        let pipe = SystemPipe()
        var request = request
        request.descriptors.append(SpawnRequest.Descriptor(pipe.writeEnd, as: 1))
        let child = try ChildProcess(request, on: loop)
        pipe.closeWrite()
        let reader = try IOStream(readingPipe: dup(pipe.readEnd), loop: loop)
        let bytes = try await reader.readToEnd()
        _ = try await child.wait()
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: The end

    @Test(arguments: [ChildProcess.Watching.best, .signal], PollerKind.tested)
    func theEndIsNoticedByADescriptorAndBySIGCHLD(
        _ watching: ChildProcess.Watching, _ poller: PollerKind
    ) async throws {
        try await withLoop(poller: poller) { loop in
            let seven = try ChildProcess(Self.shell("exit 7"), on: loop, watching: watching)
            #expect(seven.status == nil)
            #expect(try await seven.wait() == .exited(7))
            let killed = try ChildProcess(
                Self.shell("kill -TERM $$"), on: loop, watching: watching)
            #expect(try await killed.wait() == .signalled(.sigterm))
            #expect(killed.status?.returncode == -15)
        }
    }

    @Test(arguments: [ChildProcess.Watching.best, .signal])
    func severalTasksWaitForOneChild(_ watching: ChildProcess.Watching) async throws {
        try await withLoop { loop in
            let child = try ChildProcess(
                Self.shell("exec sleep 1000"), on: loop, watching: watching)
            var ended = 0
            try await loop.group { group in
                for _ in 0..<5 {
                    group.spawn {
                        let status = try await child.wait()
                        #expect(status == .signalled(.sigkill))
                        ended += 1
                    }
                }
                try await loop.turns(3)
                #expect(ended == 0)
                #expect(child.send(.sigkill))
            }
            #expect(ended == 5)
            #expect(try await child.wait() == .signalled(.sigkill))
        }
    }

    @Test func aCancelledWaitLeavesTheProgramRunning() async throws {
        try await withLoop { loop in
            let child = try ChildProcess(Self.shell("exec sleep 1000"), on: loop)
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.milliseconds(1)) { _ = try await child.wait() }
            }
            let waiting = loop.spawn { _ = try await child.wait() }
            try await loop.turns(2)
            waiting.cancel()
            await waiting.value
            #expect(child.status == nil)
            #expect(child.send(Signal(0)))
            child.send(.sigkill)
            #expect(try await child.wait() == .signalled(.sigkill))
        }
    }

    @Test func aSignalAfterTheEndReachesNobody() async throws {
        try await withLoop { loop in
            let child = try ChildProcess(Self.shell("exit 0"), on: loop)
            _ = try await child.wait()
            #expect(!child.send(Signal(0)))
            #expect(!child.send(.sigkill))
        }
    }

    @Test(arguments: [ChildProcess.Watching.best, .signal])
    func aChildForWhichNobodyWaitsIsReaped(_ watching: ChildProcess.Watching) async throws {
        try await withLoop { loop in
            // Nobody keeps the object either.
            let pid = try ChildProcess(Self.shell("exit 0"), on: loop, watching: watching).pid
            try await loop.turns { kill(pid, 0) != 0 && errno == ESRCH }
        }
    }

    @Test func theExitCallbackRunsOnceInALaterTurnWithTheCallersLocals() async throws {
        try await withLoop { loop in
            let child = try ChildProcess(Self.shell("exit 3"), on: loop)
            var calls: [String] = []
            Locals.$word.withValue("early") {
                child.onExit { calls.append("\($0.returncode ?? 0) \(Locals.word)") }
            }
            _ = try await child.wait()
            // The waiter was woken in the turn of the end; callbacks come after.
            #expect(calls.isEmpty)
            Locals.$word.withValue("late") {
                child.onExit { calls.append("\($0.returncode ?? 0) \(Locals.word)") }
            }
            #expect(calls.isEmpty)
            try await loop.turns(4)
            #expect(calls == ["3 early", "3 late"])
        }
    }

    @Test func whatAnExitCallbackThrowsIsReported() async throws {
        try await withLoop { loop in
            var reported: [String] = []
            loop.onUnhandledError = { error, place in reported.append("\(place): \(error)") }
            let child = try ChildProcess(Self.shell("exit 0"), on: loop)
            child.onExit { _ in throw Broken(number: 4) }
            _ = try await child.wait()
            try await loop.turns(3)
            #expect(reported == ["An exit callback: Broken(number: 4)"])
        }
    }

    // MARK: The loop's end

    @Test func theChildrenOfAClosedLoopGoOnAndLeaveNoZombies() async {
        await #expect(processExitsWith: .success) {
            var pids: [Int32] = []
            let before = openDescriptors()
            for round in 0..<30 {
                let loop = try IOLoop()
                let request = SpawnRequest(path: "/bin/sleep", arguments: ["sleep", "1000"])
                let child = try ChildProcess(
                    request, on: loop, watching: round % 2 == 0 ? .best : .signal)
                loop.close()
                precondition(kill(child.pid, 0) == 0, "it goes on")
                precondition(!child.send(.sigterm))
                pids.append(child.pid)
            }
            precondition(openDescriptors() < before + 15)
            for pid in pids { kill(pid, SIGKILL) }
            for pid in pids {
                while kill(pid, 0) == 0 { sched_yield() }
                precondition(errno == ESRCH)
            }
        }
    }

    @Test func aLoopThatClosesFirstLetsGoOfAChildThatEndedBeforeItWasWatched() async {
        await #expect(processExitsWith: .success) {
            let loop = try IOLoop()
            let request = SpawnRequest(path: "/bin/sh", arguments: ["sh", "-c", "exit 5"])
            let child = try ChildProcess(request, on: loop, watching: .tooLate)
            child.onExit { _ in preconditionFailure("the loop was closed first") }
            loop.close()
            precondition(child.status == nil)
            while kill(child.pid, 0) == 0 { sched_yield() }
            precondition(errno == ESRCH)
        }
    }

    @Test func aChildThatEndedBeforeItWasWatchedIsCollected() async throws {
        try await withLoop { loop in
            let child = try ChildProcess(Self.shell("exit 5"), on: loop, watching: .tooLate)
            #expect(try await child.wait() == .exited(5))
        }
    }

    @Test func aProgramThatIgnoresSIGCHLDStillLearnsOfItsChildren() async {
        await #expect(processExitsWith: .success) {
            signal(SIGCHLD, SIG_IGN)
            try IOLoop.run { loop in
                let request = SpawnRequest(path: "/bin/sh", arguments: ["sh", "-c", "exit 5"])
                let status = try await ChildProcess(request, on: loop).wait()
                precondition(status == .exited(5))
            }
        }
    }

    @Test func aChildThatSomethingElseHasCollectedHasEndedUnknown() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let request = SpawnRequest(path: "/bin/true", arguments: ["true"])
                let child = try ChildProcess(request, on: loop)
                precondition(waitpid(child.pid, nil, 0) == child.pid)
                let status = try await child.wait()
                precondition(status == .unknown && status.returncode == nil)
            }
        }
    }

    // MARK: What the program gets

    @Test func theProgramHasNoOtherDescriptors() async throws {
        try await withLoop { loop in
            // Neither this one, which is not close-on-exec, nor the others of the tests.
            let leaky = dup2(STDERR_FILENO, 300)
            defer { close(leaky) }
            let script = "n=0; while [ $n -lt 400 ]; do [ -e /proc/$$/fd/$n ] && echo $n; "
            let request = Self.shell(script + "n=$((n + 1)); done")
            let text = try await Self.output(of: request, on: loop)
            #expect(text == "0\n1\n2\n")
        }
    }

    @Test func descriptorsComeUnderTheNumbersAskedForAlsoCrosswise() async throws {
        try await withLoop { loop in
            let (first, second) = (SystemPipe(), SystemPipe())
            first.put("1".bytes)
            second.put("23".bytes)
            var request = Self.shell(
                "for n in \(first.readEnd) \(second.readEnd) 77; do head -c1 /dev/fd/$n; done; "
                    + "[ -e /dev/fd/\(first.writeEnd) ] || echo .")
            request.descriptors = [
                SpawnRequest.Descriptor(second.readEnd, as: first.readEnd),
                SpawnRequest.Descriptor(first.readEnd, as: second.readEnd),
                SpawnRequest.Descriptor(second.readEnd, as: 77),
            ]
            let text = try await Self.output(of: request, on: loop)
            #expect(text == "213.\n")
            withExtendedLifetime((first, second)) {}
        }
    }

    @Test func standardDescriptorsThatAreMissingAreTheNullDevice() async throws {
        try await withLoop { loop in
            let script = "readlink /proc/$$/fd/0 /proc/$$/fd/2"
            let text = try await Self.output(of: Self.shell(script), on: loop)
            #expect(text == "/dev/null\n/dev/null\n")
        }
    }

    @Test func closedDescriptorsThatAreInheritedAreTheNullDevice() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                // Another thread may take the freed numbers for a moment: a defect fails each time.
                for _ in 0..<20 where try await Self.childSeesTheNullDevice(on: loop) { return }
                preconditionFailure(
                    "The descriptors that were closed here were not the null device.")
            }
        }
    }

    /// With descriptors 0 and 1 closed here, which what the start itself opens would get.
    private nonisolated(nonsending) static func childSeesTheNullDevice(
        on loop: IOLoop
    ) async throws -> Bool {
        let script = "[ /dev/fd/0 -ef /dev/null ] && [ /dev/fd/1 -ef /dev/null ] && exec cat <&2"
        var request = SpawnRequest(path: "/bin/sh", arguments: ["sh", "-c", script])
        request.descriptors = (0...1).map { SpawnRequest.Descriptor($0, as: $0) }
        close(0)
        close(1)
        let pipe = SystemPipe()
        guard pipe.readEnd == 0, pipe.writeEnd == 1 else { return false }
        request.descriptors.append(
            SpawnRequest.Descriptor(fcntl(pipe.readEnd, F_DUPFD_CLOEXEC, 9), as: 2))
        pipe.closeRead()
        pipe.closeWrite()
        let status = try await ChildProcess(request, on: loop).wait()
        withExtendedLifetime(pipe) {}
        return status.isSuccess
    }

    @Test func signalsAreAsANewProgramExpectsThem() async throws {
        try await withLoop { loop in
            // Caught here, SIGPIPE ignored by the loop, and one blocked on this thread.
            let id = try loop.addSignalHandler(.sigusr2) {}
            defer { loop.removeSignalHandler(id) }
            var blocked = sigset_t()
            var before = sigset_t()
            sigemptyset(&blocked)
            sigaddset(&blocked, SIGUSR1)
            pthread_sigmask(SIG_BLOCK, &blocked, &before)
            defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
            let request = SpawnRequest(path: "/bin/cat", arguments: ["cat", "/proc/self/status"])
            let text = try await Self.output(of: request, on: loop)
            func signals(_ name: String) -> UInt64? {
                let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
                return line.flatMap { UInt64($0.dropFirst(name.count + 2), radix: 16) }
            }
            #expect(signals("SigBlk") == 0)
            #expect(signals("SigCgt") == 0)
            let ignored = try #require(signals("SigIgn"))
            #expect(ignored & (1 << (SIGPIPE - 1) | 1 << (SIGCHLD - 1)) == 0)
            // And here all is as it was.
            var now = sigset_t()
            pthread_sigmask(SIG_SETMASK, nil, &now)
            sigdelset(&now, SIGUSR1)
            sigdelset(&before, SIGUSR1)
            #expect((1..<32).allSatisfy { sigismember(&now, $0) == sigismember(&before, $0) })
        }
    }

    @Test func aProgramMayHaveAGroupOrASessionOfItsOwn() async throws {
        try await withLoop { loop in
            for group in [Subprocess.Group.shared, .own, .ownSession] {
                var request = Self.shell("exec sleep 1000")
                request.group = group
                let child = try ChildProcess(request, on: loop)
                #expect((getpgid(child.pid) == child.pid) == (group != .shared))
                #expect((getsid(child.pid) == child.pid) == (group == .ownSession))
                child.send(.sigkill)
                _ = try await child.wait()
            }
        }
    }

    @Test func aProgramWithADeathSignalEndsWithTheThreadThatStartedIt() async {
        await #expect(processExitsWith: .success) {
            let (input, output) = (SystemPipe(), SystemPipe())
            let (reading, writing) = (input.readEnd, output.writeEnd)
            let ready = dup(output.readEnd)
            // The program's `read` blocks.
            precondition(fcntl(reading, F_SETFL, 0) == 0)
            try await onFreshThread {
                try IOLoop.run { loop in
                    let script = "trap 'echo ended; exit' TERM; echo ready; read line"
                    var request = SpawnRequest(path: "/bin/sh", arguments: ["sh", "-c", script])
                    request.descriptors = [
                        SpawnRequest.Descriptor(reading, as: 0),
                        SpawnRequest.Descriptor(writing, as: 1),
                    ]
                    request.deathSignal = .sigterm
                    _ = try ChildProcess(request, on: loop)
                    try await loop.readable(ready)
                }
            }
            // Ends only with the program, which would wait for a line for ever.
            output.closeWrite()
            var text = ""
            while !text.hasSuffix("ended\n") {
                var poll = pollfd(fd: output.readEnd, events: Int16(POLLIN), revents: 0)
                precondition(Glibc.poll(&poll, 1, 20_000) == 1, text)
                let bytes = output.take(64)
                precondition(!bytes.isEmpty, text)
                text += String(decoding: bytes, as: UTF8.self)
            }
            withExtendedLifetime(input) {}
        }
    }

    // MARK: Starts that fail

    @Test func failedStartsSayWhyAndLeaveNothing() async throws {
        try await withLoop { loop in
            func refusal(_ request: SpawnRequest) -> SubprocessError? {
                do {
                    _ = try ChildProcess(request, on: loop)
                    return nil
                } catch {
                    return error as? SubprocessError
                }
            }
            let missing = refusal(SpawnRequest(path: "./no-such-program", arguments: ["x"]))
            #expect(missing?.code == .programNotFound)
            #expect(missing?.message.contains("./no-such-program") == true)
            #expect((missing?.cause as? SystemError)?.errno == ENOENT)
            #expect(
                refusal(SpawnRequest(path: "/dev/null", arguments: ["x"]))?.code == .notExecutable)
            #expect(refusal(SpawnRequest(path: "/", arguments: ["x"]))?.code == .notExecutable)
            var request = Self.shell("exit 0")
            request.workingDirectory = "/no-such-directory"
            let directory = refusal(request)
            #expect(directory?.code == .cannotStart)
            #expect(directory?.description.contains("/no-such-directory") == true)
            request.workingDirectory = nil
            request.descriptors = [SpawnRequest.Descriptor(1_000_000, as: 3)]
            #expect(refusal(request)?.code == .cannotStart)
            #expect((refusal(request)?.cause as? SystemError)?.errno == EBADF)
            request = Self.shell("exit \0 0")
            #expect(refusal(request)?.code == .invalidArgument)
        }
    }

    @Test func failedStartsLeaveNeitherChildrenNorDescriptors() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let before = openDescriptors()
                for _ in 0..<50 {
                    let request = SpawnRequest(path: "./no-such-program", arguments: ["x"])
                    precondition((try? ChildProcess(request, on: loop)) == nil)
                }
                precondition(openDescriptors() < before + 20)
                precondition(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD)
            }
        }
    }

    @Test func aClosedLoopStartsNothing() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            loop.close()
            #expect(throws: LoopError.self) {
                _ = try ChildProcess(Self.shell("exit 0"), on: loop)
            }
        }
    }

    private enum Locals {
        @TaskLocal static var word = "none"
    }
}
