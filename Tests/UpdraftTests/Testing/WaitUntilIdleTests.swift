import Testing
import Updraft
import UpdraftTesting

/// `waitUntilIdle` of the testing library.
@Suite(.timeLimit(.minutes(1))) struct WaitUntilIdleTests {
    @Test func whateverCanHappenByItselfHasHappened() async throws {
        try await withLoop { loop in
            var steps = 0
            func step() {
                steps += 1
                guard steps < 50 else { return }
                if steps.isMultiple(of: 2) { loop.addCallback { step() } }
                if !steps.isMultiple(of: 2) { loop.spawn { step() } }
            }
            step()
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 16)
            loop.spawn { try await near.write([UInt8](repeating: 7, count: 10_000)) }
            var got = 0
            loop.spawn { for try await chunk in far.chunks { got += chunk.count } }
            try await loop.waitUntilIdle()
            #expect(steps == 50)
            #expect(got == 10_000)
        }
    }

    @Test func whatACallbackMakesReadyIsServed() async throws {
        try await withLoop { loop in
            let pipes = (0..<5).map { _ in SystemPipe() }
            var served = 0
            for (index, pipe) in pipes.enumerated() {
                try loop.addHandler(pipe.readEnd, events: .read) { _, _ in
                    pipe.take()
                    served += 1
                    // Not in the handler: the loop has to look at its descriptors once more.
                    loop.addCallback { if index < 4 { pipes[index + 1].put() } }
                }
            }
            loop.addCallback { pipes[0].put() }
            try await loop.waitUntilIdle()
            #expect(served == 5)
            for pipe in pipes { loop.removeHandler(pipe.readEnd) }
        }
    }

    @Test func timeoutsThatAreDueHaveRunAndOthersAreLeft() async throws {
        try await withVirtualLoop { loop in
            let before = loop.now
            var log: [String] = []
            loop.callLater(.zero) {
                log.append("due")
                loop.callLater(.zero) { loop.addCallback { log.append("due then") } }
            }
            loop.callLater(.nanoseconds(1)) { log.append("later") }
            try await loop.waitUntilIdle()
            #expect(log == ["due", "due then"])
            #expect(loop.now == before)
        }
    }

    @Test func whatOtherThreadsHandedOverBeforeHasRun() async throws {
        try await withLoop { loop in
            let ran = Counter()
            for _ in 0..<10 { loop.remote.addCallback { ran.add() } }
            try await loop.waitUntilIdle()
            #expect(ran.value == 10)
        }
    }

    @Test func severalTasksMayWaitAtOnce() async throws {
        try await withLoop { loop in
            var log: [String] = []
            let waits = (0..<3).map { number in
                loop.async {
                    try await loop.waitUntilIdle()
                    log.append("idle \(number)")
                }
            }
            loop.spawn {
                for _ in 0..<5 { try await loop.nextTurn() }
                log.append("work")
            }
            for wait in waits { try await wait.value }
            #expect(log.first == "work")
            #expect(log.sorted() == ["idle 0", "idle 1", "idle 2", "work"])
        }
    }

    @Test func aLoopThatIsNeverIdleIsWaitedForUntilTheTimeout() async throws {
        try await withLoop { loop in
            let pipe = SystemPipe()
            var events = 0
            try loop.addHandler(pipe.writeEnd, events: .write) { _, _ in events += 1 }
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.milliseconds(20)) { try await loop.waitUntilIdle() }
            }
            #expect(events > 1)
            loop.removeHandler(pipe.writeEnd)
            // And nothing is left of the wait that was given up.
            try await loop.waitUntilIdle()
        }
    }
}
