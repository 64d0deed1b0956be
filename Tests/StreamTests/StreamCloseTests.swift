import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract rows J8-J10 and half-close, over TCP and over memory.
@Suite struct StreamCloseTests {
    @Test(arguments: TransportKind.allCases)
    func closeSendsWhatWasWritten_J8(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var random = SeededGenerator(seed: 8)
            let bytes = random.bytes(kind.isSlow ? 200_000 : 2_000_000)
            try near.enqueue(bytes)
            near.close()
            near.close()
            #expect(near.isClosed)
            #expect(try await far.readToEnd() == bytes)
            try await near.closed()
            #expect(near.closeReason?.code == .closed)
        }
    }

    @Test(arguments: TransportKind.withReset)
    func abortDropsWhatWasWrittenAndResets_J8(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try near.enqueue([UInt8](repeating: 1, count: 100))
            near.abort()
            #expect(near.unsentBytes == 0)
            #expect(await streamFailure { try await far.readToEnd() } == .closed)
            near.abort()
            near.close()
        }
    }

    @Test(arguments: TransportKind.allCases)
    func closedAndOnCloseAnswerEachOnceWhoeverClosed_J9(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var log: [String] = []
            for (name, stream) in [("near", near), ("far", far)] {
                stream.onClose { log.append("\(name) callback") }
                loop.spawn {
                    try await stream.closed()
                    log.append("\(name) task")
                }
            }
            try await loop.turns(2)
            near.close()
            #expect(!log.contains("near callback"))
            #expect(await streamFailure { try await far.read(upTo: 1) } == .endOfStream)
            far.close()
            try await near.closed()
            try await far.closed()
            near.onClose { log.append("late callback") }
            #expect(!log.contains("late callback"))
            try await loop.turns(3)
            #expect(
                log.sorted() == [
                    "far callback", "far task", "late callback", "near callback", "near task",
                ])
        }
    }

    @Test(arguments: TransportKind.withReset)
    func anIdleStreamNoticesAReset_J9(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            near.abort()
            try await far.closed()
            #expect(far.closeReason?.cause != nil)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func closeAnswersEveryWaiterExactlyOnce_J8(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let options = streamOptions { $0.closeTimeout = .milliseconds(20) }
            let (near, far) = try await kind.pair(on: loop, options)
            var answers: [String] = []
            func wait(
                _ name: String, _ body: nonisolated(nonsending) @escaping () async throws -> Void
            ) {
                loop.spawn {
                    let code = await streamFailure(of: body)
                    answers.append(
                        code == .closed ? name : "\(name) got \(String(describing: code))")
                }
            }
            wait("read") { _ = try await near.read(exactly: 10) }
            wait("write") { try await near.write([UInt8](repeating: 1, count: kind.surfeit)) }
            wait("flush") { try await near.flush() }
            try await loop.turns(20)
            #expect(answers.isEmpty)
            // The peer never reads, so that closing runs into its limit.
            near.close()
            try await near.closed()
            try await loop.turns(5)
            #expect(answers.sorted() == ["flush", "read", "write"])
            far.abort()
        }
    }

    @Test(arguments: TransportKind.allCases)
    func abortAnswersEveryWaiterExactlyOnce_J8(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var answers = 0
            for call in 0..<3 {
                loop.spawn {
                    let code = await streamFailure {
                        switch call {
                        case 0: _ = try await near.read(exactly: 10)
                        case 1: try await near.write([UInt8](repeating: 1, count: kind.surfeit))
                        default: try await near.flush()
                        }
                    }
                    if code == .closed { answers += 1 }
                }
            }
            try await loop.turns(20)
            near.abort()
            try await loop.turns(5)
            #expect(answers == 3)
            _ = far
        }
    }

    @Test(arguments: TransportKind.allCases)
    func endingTheOwnDirectionLeavesTheOtherOpen(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            for (left, right) in [(near, far)] {
                try await left.write("question")
                left.endWriting()
                left.endWriting()
                #expect(await streamFailure { try await left.write("more") } == .closed)
                #expect(try await right.readToEnd() == "question".bytes)
                try await loop.turns(3)
                #expect(!right.isClosed)
                try await right.write("answer")
                right.endWriting()
                #expect(try await left.readToEnd() == "answer".bytes)
                #expect(!left.isClosed)
            }
            near.close()
            far.close()
            try await near.closed()
            try await far.closed()
        }
    }

    @Test(arguments: TransportKind.allCases)
    func endingTheDirectionSendsEverythingFirst(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var random = SeededGenerator(seed: 9)
            let bytes = random.bytes(kind.isSlow ? 200_000 : 3_000_000)
            try near.enqueue(bytes)
            near.endWriting()
            #expect(try await far.readToEnd() == bytes)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func aClosedWaitCanBeCancelledAndDoesNotPileUp(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            for _ in 0..<10 {
                let error = await failure {
                    try await withTimeout(.microseconds(100)) { try await near.closed() }
                }
                #expect(error is TimeoutError)
            }
            try await near.write("still open")
            #expect(try await far.read(exactly: 10) == "still open".bytes)
        }
    }

    @Test func aStreamWithoutADescriptorLivesUntilItIsClosed() async throws {
        try await withVirtualLoop { loop in
            var closed = false
            do {
                let (near, _) = try MemoryStream.pair(on: loop, capacity: 10)
                near.onClose { closed = true }
                try near.enqueue([UInt8](repeating: 1, count: 1_000))
                near.close()
            }
            #expect(loop.openStreams == 2)
            // Nobody holds it; the limit on its closing still finds it.
            try await loop.sleep(for: .seconds(60))
            #expect(closed)
        }
    }

    @Test func closingIsGivenUpAfterItsLimit() async throws {
        try await withVirtualLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 10)
            let start = loop.now
            try near.enqueue([UInt8](repeating: 1, count: 1_000))
            near.close()
            try await near.closed()
            #expect(start.duration(to: loop.now) == near.options.closeTimeout)
            #expect(await streamFailure { try await far.readToEnd() } == .closed)
        }
    }
}
