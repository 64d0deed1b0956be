import TestSupport
import Testing
import UpdraftTLS
import UpdraftTesting

@testable import Updraft

/// Contract row J2 where the network is at its worst: who waits for bytes to leave is answered
/// once, truly, and nothing stays.
@Suite struct FaultCompletionTests {
    /// A script between a stream and what carries it.
    private nonisolated(nonsending) func scripted(
        _ kind: TransportKind, on loop: IOLoop
    ) async throws -> (IOStream, ScriptedTransport, IOStream) {
        let (near, far) = try await kind.pair(on: loop)
        var made: ScriptedTransport?
        try near.replaceTransport {
            let script = ScriptedTransport(over: $0, on: loop)
            made = script
            return script
        }
        return (near, try #require(made), far)
    }

    @Test("short writes of every length", arguments: [TransportKind.memory, .tcp, .unix, .pipe])
    func noWriteIsToldBeforeItsLastByteHasLeft_J2(over kind: TransportKind) async throws {
        try await withLoop { loop in
            for length in Array(1...72) + [333, 5_000] {
                let (near, script, far) = try await scripted(kind, on: loop)
                script.everyWrite = .atMost(length)
                let reading = loop.async { try await far.readToEnd() }
                var told: [Int] = []
                var position = 0
                for number in 1...40 {
                    position += number
                    let end = position
                    try near.enqueue([UInt8](repeating: 1, count: number)) { result in
                        #expect(isSuccess(result) && script.bytesWritten >= end)
                        told.append(number)
                    }
                }
                try await near.writeAndFlush("own")
                #expect(script.bytesWritten == position + 3)
                try await loop.turns(2)
                #expect(told == Array(1...40), "\(length)")
                near.close()
                #expect(try await reading.value.count == position + 3)
                far.close()
            }
        }
    }

    /// Each write of the transport fails in turn, until one is never made.
    @Test("reset at every write", arguments: [TransportKind.memory, .tcp, .unix, .pipe])
    func aFailureIsToldToExactlyThoseWhoseBytesHaveNotLeft_J2(
        over kind: TransportKind
    ) async throws {
        let reset = SystemError(errno: 104, operation: "send")
        try await withLoop { loop in
            let before = Holdings(of: loop)
            var calls = 0
            while true {
                let (near, script, far) = try await scripted(kind, on: loop)
                script.everyWrite = .atMost(17)
                script.writes = Array(repeating: .atMost(17), count: calls) + [.fail(reset)]
                var told: [Bool] = []
                for number in 1...20 {
                    try near.enqueue([UInt8](repeating: 1, count: number)) { result in
                        told.append(isSuccess(result))
                        let cause = failure(in: result)?.cause as? SystemError
                        #expect(isSuccess(result) || cause == reset)
                    }
                }
                let answers = Answers()
                answers.ask("own", on: loop) { try await near.writeAndFlush("own") }
                try await loop.turns(until: { told.count >= 20 && answers.isComplete })
                try await loop.turns(3)
                let sent = (1...20).filter { $0 * ($0 + 1) / 2 <= script.bytesWritten }.count
                #expect(told == (1...20).map { $0 <= sent }, "\(calls)")
                let isUnharmed = !script.writes.isEmpty
                #expect(answers.texts == ["own": isUnharmed ? "value" : "closed"])
                near.abort()
                far.abort()
                if isUnharmed { break }
                calls += 1
            }
            #expect(calls > 10)
            try await expectNothingLeft(since: before, on: loop)
        }
    }

    /// What one call accepts whole has left, although the next one fails in the same turn.
    @Test func bytesThatLeftInTheTurnOfTheFailureAreToldAsSent_J2() async throws {
        try await withLoop { loop in
            // What bounds a call is the number of its pieces.
            loop.limits.streamBytesMax = 1 << 20
            let (near, far) = MemoryTransport.pair(on: loop, capacity: 1 << 20)
            let script = ScriptedTransport(over: near, on: loop)
            script.writes = [.pass, .fail(SystemError(errno: 104, operation: "send"))]
            let stream = try IOStream(script, loop: loop)
            var told: [Bool] = []
            for _ in 0..<80 {
                try stream.enqueue([UInt8](repeating: 1, count: 5_000)) {
                    told.append(isSuccess($0))
                }
            }
            try await loop.turns(until: { told.count == 80 })
            let sent = far.unreadBytes / 5_000
            #expect(sent > 0 && sent < 80)
            #expect(told == (0..<80).map { $0 < sent })
        }
    }

    @Test("reset with writes pending", arguments: TransportKind.allCases)
    func aResetAnswersEveryPendingWriteOnce_J2(over kind: TransportKind) async throws {
        try await withLoop { loop in
            try await expectNoGrowth(on: loop) {
                let (near, far) = try await kind.pair(on: loop)
                var told: [Bool] = []
                let tell = { (result: Result<Void, StreamError>) in
                    told.append(isSuccess(result))
                    guard let error = failure(in: result) else { return }
                    #expect((error.cause as? SystemError)?.isDisconnect == true)
                }
                let answers = Answers()
                for number in 0..<4 {
                    try near.enqueue([UInt8](repeating: 1, count: kind.surfeit / 2), onSent: tell)
                    answers.ask("own \(number)", on: loop) { try await near.writeAndFlush("x") }
                    try await loop.turns(2)
                }
                try await loop.turns(10)
                #expect(told.count < 4 && !answers.isComplete)
                far.abort()
                try await near.closed()
                try await loop.turns(until: { told.count == 4 && answers.isComplete })
                try await loop.turns(3)
                let sent = told.filter { $0 }.count
                #expect(told == (0..<4).map { $0 < sent } && sent < 4)
                #expect(answers.texts.values.allSatisfy { ["value", "closed"].contains($0) })
                #expect(answers.texts["own 3"] == "closed")
            }
        }
    }

    @Test(arguments: TransportKind.allCases)
    func aCancelledWriteAndFlushHasItsBytesAccepted_J2(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await expectCancellation(on: loop, "own", early: false) {
                try await near.writeAndFlush([UInt8](repeating: 1, count: kind.surfeit))
            }
            let error = await failure {
                try await withTimeout(.zero) { try await near.writeAndFlush("and ") }
            }
            #expect(error is TimeoutError)
            var calls = 0
            try near.enqueue("the end") { _ in calls += 1 }
            #expect(try await far.read(exactly: kind.surfeit).count == kind.surfeit)
            #expect(try await far.read(exactly: 11) == "and the end".bytes)
            try await loop.turns(until: { calls == 1 })
        }
    }

    /// Nothing leaves, so that nothing ever takes them from the front.
    @Test func waitsThatAreGivenUpLeaveNothingBehind() async throws {
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 10)
            var calls = 0
            try near.enqueue([UInt8](repeating: 1, count: 1_000)) { _ in calls += 1 }
            let staying = loop.async { try await near.flush() }
            try await loop.nextTurn()
            for _ in 0..<50 {
                let tasks = (0..<20).map { _ in loop.spawn { try? await near.flush() } }
                try await loop.turns(3)
                for task in tasks { task.cancel() }
                for task in tasks { await task.value }
                #expect((near.sendLine?.count ?? 0) <= 22)
            }
            #expect(!staying.isDone && calls == 0)
            #expect(try await far.read(exactly: 1_000).count == 1_000)
            try await staying.value
            #expect(calls == 1 && near.sendLine?.count ?? 0 == 0)
        }
    }

    @Test func aHundredThousandSmallWritesAreToldInOrderAtASlowReader_J2() async throws {
        try await withLoop { loop in
            let count = 100_000
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 1_000)
            var next = 0
            var strays = 0
            for number in 0..<count {
                try loop.withoutContext {
                    try near.enqueue([UInt8(truncatingIfNeeded: number), 10]) { result in
                        if number == next, isSuccess(result) { next += 1 } else { strays += 1 }
                    }
                }
            }
            #expect(near.sendLine?.count == count)
            let writers = 2_000
            for number in 0..<writers {
                loop.spawn {
                    try await near.writeAndFlush("w")
                    if next == count + number { next += 1 } else { strays += 1 }
                }
            }
            #expect(try await far.read(exactly: 2 * count + writers).count == 2 * count + writers)
            try await loop.turns(until: { next + strays == count + writers })
            #expect(strays == 0 && near.sendLine?.count ?? 0 == 0)
        }
    }

    @Test(arguments: [3, 300])
    func onlyALineThatHasGrownIsGivenBackWhenItIsEmpty(count: Int) async throws {
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop)
            var calls = 0
            for _ in 0..<count { try near.enqueue("x") { _ in calls += 1 } }
            try await loop.turns(until: { calls == count })
            #expect((near.sendLine == nil) == (count > 100))
            withExtendedLifetime(far) {}
        }
    }
}
