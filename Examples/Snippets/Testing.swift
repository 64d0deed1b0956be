// The code of docs/testing.md.

import Updraft
import UpdraftTesting

/// Something to test: answers each line after a second's thought, and gives up on silence.
nonisolated(nonsending) func oracle(_ stream: IOStream, loop: IOLoop) async throws {
    try await withTimeout(.seconds(60)) {
        let question = try await stream.read(until: "\n")
        try await loop.sleep(for: .seconds(1))
        try await stream.write(question.contains(UInt8(ascii: "?")) ? "yes\n" : "no\n")
    }
}

func oracleAnswersAfterASecond() async throws {
    try await withVirtualLoop { loop in
        let (near, far) = try MemoryStream.pair(on: loop)
        let begin = loop.now
        loop.spawn { try await oracle(far, loop: loop) }
        try await near.write("rain?\n")
        let answer = try await near.read(until: "\n")
        precondition(answer == Array("yes\n".utf8))
        precondition(begin.duration(to: loop.now) == .seconds(1))
    }
}

func oracleSaysNothingBeforeItsTime() async throws {
    try await withVirtualLoop { loop in
        let (near, far) = MemoryTransport.pair(on: loop)
        let stream = try IOStream(far, loop: loop)
        loop.spawn { try await oracle(stream, loop: loop) }
        let sender = try IOStream(near, loop: loop)
        try await sender.write("rain?\n")
        try await loop.waitUntilIdle()
        precondition(near.unreadBytes == 0)
        try await loop.sleep(for: .seconds(1))
        try await loop.waitUntilIdle()
        precondition(near.unreadBytes == 4)
    }
}

func readerGivesUpBetweenTwoEvents() async throws {
    try await withVirtualLoop { loop in
        let line = try ScriptedDescriptor(on: loop)
        line.become(.read, after: .seconds(3))
        line.become([], after: .seconds(4))
        try await loop.readable(line.number)
        try await loop.sleep(for: .seconds(2))
        var isGivenUp = false
        do {
            try await withTimeout(.seconds(10)) { try await loop.readable(line.number) }
        } catch is TimeoutError {
            isGivenUp = true
        }
        precondition(isGivenUp)
    }
}

func streamOverTroubledTransport(on loop: IOLoop) throws -> (IOStream, IOStream) {
    let (near, far) = MemoryTransport.pair(on: loop, capacity: 512)
    let troubled = ScriptedTransport(over: near, on: loop)
    troubled.everyRead = .atMost(1)
    troubled.writes = [
        .wouldBlock, .atMost(3), .fail(SystemError(errno: 104, operation: "send")),
    ]
    return (try IOStream(troubled, loop: loop), try IOStream(far, loop: loop))
}

func loopOfOnesOwn() async throws {
    let seconds = try await withLoop(
        making: {
            let clock = ManualClock()
            let poller = try VirtualPoller(clock: clock, base: PollerChoice.select.makePoller())
            return try IOLoop(name: "test", poller: poller, clock: clock)
        },
        timeLimit: .seconds(5)
    ) { loop in
        // As if something had computed for so long.
        loop.virtualPoller?.clock.advance(by: .seconds(90))
        return loop.uptime
    }
    precondition(seconds == .seconds(90))
}
