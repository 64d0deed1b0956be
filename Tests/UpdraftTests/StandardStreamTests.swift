import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Standard input and output as streams: contract row J20. Each test is a process of its own, which
/// puts something in the place of its descriptors 0 and 1.
@Suite struct StandardStreamTests {
    @Test func aPipeIsReadToItsEndAndItsMarksStayAsTheyAre() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let pipe = BlockingEnds()
                pipe.become(input: true)
                let marks = fcntl(0, F_GETFL)
                let input = try IOStream.standardInput(on: loop)
                pipe.put("one\ntwo\nthr")
                must(try await input.read(until: "\n") == "one\n".bytes)
                must(try await input.read(until: "\n") == "two\n".bytes)
                // It waits, and the loop goes on.
                let last = loop.async { try await input.readToEnd() }
                try await loop.turns(5)
                must(!last.isDone)
                pipe.put("ee")
                pipe.closeWrite()
                must(try await last.value == "three".bytes)
                try await input.closed()
                must(input.closeReason?.code == .endOfStream)
                must(fcntl(0, F_GETFL) == marks && marks & O_NONBLOCK == 0)
            }
        }
    }

    /// Nothing will ever tell of such an end.
    @Test func aPipeWhoseWritersHaveLeftBeforeEndsAtOnce() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                for text in ["", "left behind"] {
                    let pipe = BlockingEnds()
                    pipe.become(input: true)
                    pipe.put(text)
                    pipe.closeWrite()
                    let input = try IOStream.standardInput(on: loop)
                    must(try await input.readToEnd() == text.bytes)
                    try await input.closed()
                }
            }
        }
    }

    @Test func itIsOneStreamsAtATimeOnWhateverLoop() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let pipe = BlockingEnds()
                pipe.become(input: true)
                let input = try IOStream.standardInput(on: loop)
                let second = await failure { try IOStream.standardInput(on: loop) }
                must((second as? StreamError)?.code == .alreadyTaken)
                must("\(second as Any)".contains("standard input"))
                try await onFreshThread {
                    try IOLoop.run { other in
                        let code = await streamFailure { try IOStream.standardInput(on: other) }
                        must(code == .alreadyTaken)
                    }
                }
                input.close()
                input.close()
                try await input.closed()
                // Given back, and open: the next one may have it.
                must(fcntl(0, F_GETFD) >= 0)
                let again = try IOStream.standardInput(on: loop)
                pipe.put("x")
                must(try await again.read(exactly: 1) == "x".bytes)
            }
        }
    }

    @Test func withoutADescriptorItIsAClearErrorAndNothingIsTaken() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let kept = dup(0)
                for _ in 0..<2 {
                    var error: (any Error)?
                    // What another thread of the process opens meanwhile gets the number.
                    repeat {
                        close(0)
                        error = await failure { try IOStream.standardInput(on: loop).abort() }
                    } while error == nil
                    must((error as? SystemError)?.errno == EBADF)
                    must("\(error as Any)".contains("standard input"))
                }
                dup2(kept, 0)
            }
        }
    }

    @Test func aFileAndTheNullDeviceAreReadToTheirEnd() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let file = tmpfile()
                var random = SeededGenerator(seed: 20)
                let bytes = random.bytes(300_001)
                must(write(fileno(file), bytes, bytes.count) == bytes.count)
                lseek(fileno(file), 0, SEEK_SET)
                dup2(fileno(file), 0)
                let input = try IOStream.standardInput(on: loop)
                must(try await input.read(exactly: 10) == Array(bytes[..<10]))
                must(try await input.readToEnd() == Array(bytes[10...]))

                let null = open("/dev/null", O_RDWR)
                dup2(null, 0)
                must(try await IOStream.standardInput(on: loop).readToEnd() == [])
                dup2(null, 1)
                let output = try IOStream.standardOutput(on: loop)
                try await output.write([UInt8](repeating: 1, count: 1 << 20))
                try await output.flush()
                output.close()
                fclose(file)
            }
        }
    }

    /// A terminal gives one line for each read, and tells of both at once.
    @Test func everyLineOfATerminalIsReadAndItsMarksStayAsTheyAre() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let (master, terminal) = openTerminal()
                must(terminal >= 0)
                dup2(terminal, 0)
                dup2(terminal, 1)
                close(terminal)
                let input = try IOStream.standardInput(on: loop)
                let output = try IOStream.standardOutput(on: loop)
                for round in 0..<2 {
                    must(write(master, "a\nbc\n", 5) == 5)
                    must(try await input.read(until: "\n") == "a\n".bytes)
                    must(try await input.read(until: "\n") == "bc\n".bytes)
                    must(fcntl(0, F_GETFL) & O_NONBLOCK == 0)
                    try await output.write("answer \(round)")
                    try await output.flush()
                }
                output.close()
                // The terminal's own end of the input: Control-D.
                must(write(master, "\u{4}", 1) == 1)
                must(try await input.readToEnd() == [])
                must(fcntl(0, F_GETFL) & O_NONBLOCK == 0)
                var screen = [UInt8](repeating: 0, count: 4_096)
                let shown = read(master, &screen, screen.count)
                let text = String(decoding: screen[..<max(0, shown)], as: UTF8.self)
                must(text.contains("answer 0") && text.contains("answer 1"))
            }
        }
    }

    @Test func aTerminalThatIsGoneIsTheEndOfTheInput() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let (master, terminal) = openTerminal()
                dup2(terminal, 0)
                let input = try IOStream.standardInput(on: loop)
                let reading = loop.async { try await input.readToEnd() }
                try await loop.turns(3)
                close(master)
                must(try await reading.value == [])
            }
        }
    }

    @Test func whatIsWrittenArrivesWhateverItsSize() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let pipe = BlockingEnds()
                pipe.become(input: false)
                let marks = fcntl(1, F_GETFL)
                let output = try IOStream.standardOutput(on: loop)
                let reader = try IOStream(readingPipe: dup(pipe.readEnd), loop: loop)
                var random = SeededGenerator(seed: 1)
                let bytes = random.bytes(1 << 20)
                let writing = loop.async {
                    try await output.write(bytes)
                    try await output.flush()
                }
                must(try await reader.read(exactly: bytes.count) == bytes)
                try await writing.value
                output.close()
                try await output.closed()
                // The process has it still.
                must(fcntl(1, F_GETFL) == marks && marks & O_NONBLOCK == 0)
                must(write(1, "print", 5) == 5)
                must(try await reader.read(exactly: 5) == "print".bytes)
            }
        }
    }

    @Test func endWritingEndsThePipeAndLeavesTheNullDevice() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let pipe = BlockingEnds()
                pipe.become(input: false)
                pipe.closeWrite()
                let reader = try IOStream(readingPipe: dup(pipe.readEnd), loop: loop)
                let output = try IOStream.standardOutput(on: loop)
                try await output.write("the end")
                output.endWriting()
                must(try await reader.readToEnd() == "the end".bytes)
                try await output.closed()
                var info = stat()
                must(fstat(1, &info) == 0 && info.st_mode & S_IFMT == S_IFCHR)
                must(write(1, "nowhere", 7) == 7)
            }
        }
    }

    @Test func aPipeThatNobodyReadsClosesTheStreamQuietly() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let pipe = BlockingEnds()
                pipe.become(input: false)
                let output = try IOStream.standardOutput(on: loop)
                try await loop.turns(3)
                pipe.closeRead()
                // Nothing is written: it is told.
                try await output.closed()
                must((output.closeReason?.cause as? SystemError)?.isBrokenPipe == true)
                must(await streamFailure { try await output.write("x") } == .closed)
                must(fcntl(1, F_GETFD) >= 0)
                // It can't be opened anew now: each write asks first.
                let second = try IOStream.standardOutput(on: loop)
                try await second.write("x")
                must(await streamFailure { try await second.flush() } == .closed)
                must((second.closeReason?.cause as? SystemError)?.isBrokenPipe == true)
            }
        }
    }

    /// A pipe of another user, for one: each call asks first whether it would block.
    @Test func whatCanNotBeOpenedAnewIsReadAndWrittenAllTheSame() async {
        await #expect(processExitsWith: .success) {
            if geteuid() == 0 { must(setuid(65_534) == 0) }
            for poller in [PollerChoice.best, .select] {
                try IOLoop.run(poller: poller) { loop in
                    let (there, back) = (BlockingEnds(), BlockingEnds())
                    for end in [there.readEnd, back.writeEnd] { fchmod(end, 0) }
                    must(open("/proc/self/fd/\(there.readEnd)", O_RDONLY) < 0)
                    there.become(input: true)
                    back.become(input: false)
                    let input = try IOStream.standardInput(on: loop)
                    let output = try IOStream.standardOutput(on: loop)
                    let reader = try IOStream(readingPipe: dup(back.readEnd), loop: loop)
                    let reading = loop.async { try await input.read(exactly: 6) }
                    try await loop.turns(3)
                    must(!reading.isDone)
                    there.put("abc")
                    try await loop.turns(3)
                    there.put("def")
                    must(try await reading.value == "abcdef".bytes)
                    var random = SeededGenerator(seed: 2)
                    let bytes = random.bytes(1 << 20)
                    let writing = loop.async {
                        try await output.write(bytes)
                        try await output.flush()
                    }
                    must(try await reader.read(exactly: bytes.count) == bytes)
                    try await writing.value
                    must(fcntl(0, F_GETFL) & O_NONBLOCK == 0)
                    must(fcntl(1, F_GETFL) & O_NONBLOCK == 0)
                    there.closeWrite()
                    must(try await input.readToEnd() == [])
                }
            }
        }
    }

    @Test func everyPollerTellsOfThem() async {
        await #expect(processExitsWith: .success) {
            for poller in [PollerChoice.epoll, .select] {
                let (there, back) = (BlockingEnds(), BlockingEnds())
                there.become(input: true)
                back.become(input: false)
                try IOLoop.run(poller: poller) { loop in
                    let input = try IOStream.standardInput(on: loop)
                    let output = try IOStream.standardOutput(on: loop)
                    let echoing = loop.async {
                        for try await chunk in input.chunks { try await output.write(chunk) }
                        output.endWriting()
                    }
                    let reader = try IOStream(readingPipe: dup(back.readEnd), loop: loop)
                    for round in 0..<20 {
                        there.put("round \(round)\n")
                        must(try await reader.read(until: "\n") == "round \(round)\n".bytes)
                    }
                    there.closeWrite()
                    try await echoing.value
                    must(try await reader.readToEnd() == [])
                }
            }
        }
    }

    @Test func aSocketIsReadAndWrittenWithoutAMark() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                var ends: [Int32] = [-1, -1]
                let kind = Int32(SOCK_STREAM.rawValue)
                must(socketpair(AF_UNIX, kind, 0, &ends) == 0)
                for number: Int32 in [0, 1] { dup2(ends[0], number) }
                close(ends[0])
                let input = try IOStream.standardInput(on: loop)
                let output = try IOStream.standardOutput(on: loop)
                let far = try IOStream(socket: ends[1], loop: loop)
                try await far.write("question")
                must(try await input.read(exactly: 8) == "question".bytes)
                try await output.write("answer")
                output.endWriting()
                must(try await far.readToEnd() == "answer".bytes)
                far.close()
                must(try await input.readToEnd() == [])
                must(fcntl(0, F_GETFL) & O_NONBLOCK == 0)
            }
        }
    }

    /// Whoever writes into the input decides how long its lines are.
    @Test func aLinePastItsLimitLeavesTheInputToTheProcessAsItWas() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let pipe = BlockingEnds()
                pipe.become(input: true)
                var (before, after) = (stat(), stat())
                must(fstat(0, &before) == 0)
                let input = try IOStream.standardInput(on: loop)
                pipe.put("a line that is too long")
                let begin = loop.now
                let code = await streamFailure { try await input.read(until: "\n", maxBytes: 10) }
                must(code == .unsatisfiableRead)
                try await input.closed()
                must(input.closeReason?.code == .closed && input.closeReason?.cause == nil)
                must(begin.duration(to: loop.now) < .seconds(1))
                must(fstat(0, &after) == 0 && after.st_ino == before.st_ino)
                // What comes later is for whoever reads then.
                pipe.put("next\n")
                let next = try IOStream.standardInput(on: loop)
                must(try await next.read(until: "\n") == "next\n".bytes)
            }
        }
    }

    /// As inetd and others start programs: one socket is the input and the output.
    @Test func theEndOfTheInputIsNotThatOfASocketThatIsTheOutputToo() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                var ends: [Int32] = [-1, -1]
                must(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
                for number: Int32 in [0, 1] { dup2(ends[0], number) }
                close(ends[0])
                let far = try IOStream(socket: ends[1], loop: loop)
                let output = try IOStream.standardOutput(on: loop)
                let ended = try IOStream.standardInput(on: loop)
                ended.endWriting()
                try await far.writeAndFlush("a question that is too long")
                let code = await streamFailure { try await ended.read(until: "\n", maxBytes: 10) }
                must(code == .unsatisfiableRead)
                try await ended.closed()
                try await output.write("too long")
                output.endWriting()
                must(try await far.readToEnd() == "too long".bytes)
            }
        }
    }

    @Test func aFileTakesManyBytesInOrderAndTheOthersHaveTheirTurns() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let file = tmpfile()
                dup2(fileno(file), 1)
                let output = try IOStream.standardOutput(on: loop)
                var random = SeededGenerator(seed: 3)
                let pieces = (0..<40).map { _ in random.bytes(20_000) }
                let start = loop.turnNumber
                for piece in pieces { try output.enqueue(piece) }
                try await output.flush()
                // 800,000 bytes, 65,536 in each turn.
                must(loop.turnNumber - start >= 12)
                output.close()
                var written = [UInt8](repeating: 0, count: 900_000)
                let count = pread(fileno(file), &written, written.count, 0)
                must(Array(written[..<count]) == pieces.flatMap(\.self))
            }
        }
    }

    @Test func standardErrorIsAStreamTooAndLoopsGiveItBack() async {
        await #expect(processExitsWith: .success) {
            for round in 0..<3 {
                try IOLoop.run { loop in
                    let pipe = BlockingEnds()
                    let kept = dup(2)
                    dup2(pipe.writeEnd, 2)
                    let output = try IOStream.standardError(on: loop)
                    try await output.write("complaint \(round)")
                    try await output.flush()
                    let reader = try IOStream(readingPipe: dup(pipe.readEnd), loop: loop)
                    must(
                        try await reader.read(exactly: 11) == "complaint \(round)".bytes)
                    dup2(kept, 2)
                    // Not closed: the loop's end does.
                }
            }
        }
    }
}

/// Ends the process, with the line.
func must(_ holds: Bool, line: Int = #line) {
    precondition(holds, "what stands in line \(line) does not hold")
}

/// A new terminal: the side of its user, and that of its programs.
func openTerminal() -> (master: Int32, terminal: Int32) {
    let master = open("/dev/ptmx", O_RDWR | O_NOCTTY)
    // TIOCSPTLCK and TIOCGPTN.
    var (isLocked, number): (Int32, Int32) = (0, -1)
    precondition(ioctl(master, 0x4004_5431, &isLocked) == 0)
    precondition(ioctl(master, 0x8004_5430, &number) == 0)
    return (master, open("/dev/pts/\(number)", O_RDWR | O_NOCTTY))
}

/// A pipe whose ends block, as a shell makes them.
final class BlockingEnds {
    private(set) var readEnd: Int32
    private(set) var writeEnd: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        precondition(pipe(&ends) == 0)
        (readEnd, writeEnd) = (ends[0], ends[1])
    }

    /// Puts one end in the place of the standard descriptor, and has it no more.
    func become(input: Bool) {
        if input {
            dup2(readEnd, 0)
            closeRead()
        } else {
            dup2(writeEnd, 1)
            closeWrite()
        }
    }

    func put(_ text: String) {
        let bytes = text.bytes
        precondition(write(writeEnd, bytes, bytes.count) == bytes.count)
    }

    func closeRead() {
        if readEnd >= 0 { close(readEnd) }
        readEnd = -1
    }

    func closeWrite() {
        if writeEnd >= 0 { close(writeEnd) }
        writeEnd = -1
    }
}
