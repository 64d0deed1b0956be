import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Contract row J2: each write is told when its own bytes have left, in order, over every
/// transport.
@Suite struct StreamCompletionTests {
    @Test(arguments: TransportKind.allCases)
    func writeAndFlushWaitsForItsOwnBytesOnly_J2(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            let bytes = [UInt8](repeating: 1, count: kind.surfeit)
            let own = loop.async { try await near.writeAndFlush(bytes) }
            try await loop.turns(20)
            #expect(!own.isDone)
            try near.enqueue(bytes)
            let flush = loop.async { try await near.flush() }
            try await loop.nextTurn()
            // What is encrypted together is told of together.
            let read = kind.surfeit + (kind.isTLS ? 100_000 : 0)
            let reading = loop.async { try await far.read(exactly: read) }
            try await own.value
            #expect(try await reading.value.count == read)
            try await loop.turns(20)
            #expect(!flush.isDone && near.isWriting)
            let rest = 2 * kind.surfeit - read
            #expect(try await far.read(exactly: rest).count == rest)
            try await flush.value
        }
    }

    @Test(arguments: TransportKind.allCases)
    func writeAndFlushSendsTextAndPiecesInOrder_J2(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            try await near.writeAndFlush("one ")
            #expect(!near.isWriting)
            try await near.writeAndFlush(pieces: ["two ".bytes, [], "three ".bytes])
            #expect(!near.isWriting)
            try await near.writeAndFlush("four".bytes)
            near.close()
            #expect(try await far.readToEnd() == "one two three four".bytes)
            #expect(await streamFailure { try await near.writeAndFlush("late") } == .closed)
            #expect(await streamFailure { try await near.writeAndFlush(pieces: []) } == .closed)
        }
    }

    @Test(arguments: TransportKind.allCases)
    func anEmptyWriteHasLeftAtOnceWhateverIsUnsent_J2(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var order: [String] = []
            try near.enqueue([UInt8](repeating: 1, count: kind.surfeit)) { _ in
                order.append("large")
            }
            try near.enqueue([]) { result in order.append("empty \(isSuccess(result))") }
            try near.enqueue("") { result in order.append("text \(isSuccess(result))") }
            let turn = loop.turnNumber
            try await near.writeAndFlush([])
            try await near.writeAndFlush(pieces: [[], []])
            #expect(loop.turnNumber == turn && order.isEmpty)
            try await loop.turns(10)
            #expect(order == ["empty true", "text true"])
            near.close()
            #expect(try await far.readToEnd().count == kind.surfeit)
            try await loop.turns(until: { order.count == 3 })
            #expect(order.last == "large")
        }
    }

    /// Callbacks, writes that wait and flushes, of every form, at a reader that comes late.
    @Test(arguments: TransportKind.allCases, [1, 2, 3])
    func everyWriteIsToldOnceInTheOrderOfTheBytes_J2(
        over kind: TransportKind, seed: Int
    ) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var random = SeededGenerator(seed: UInt64(seed))
            var order: [Int] = []
            var count = 0
            // Nothing of what follows can leave before somebody reads.
            try near.enqueue([UInt8](repeating: 1, count: kind.surfeit))
            try await loop.turns(20)
            while count < 400 {
                let number = count
                let bytes = random.bytes(Int.random(in: 1...90, using: &random))
                let told = { (result: Result<Void, StreamError>) in
                    if isSuccess(result) { order.append(number) }
                }
                switch Int.random(in: 0..<6, using: &random) {
                case 0: try near.enqueue(bytes, onSent: told)
                case 1: try near.enqueue(bytes.span.bytes, onSent: told)
                case 2: try near.enqueue("text \(number)", onSent: told)
                case 3:
                    loop.spawn {
                        try await near.writeAndFlush(bytes); order.append(number)
                    }
                case 4:
                    loop.spawn {
                        try await near.flush(); order.append(number)
                    }
                default: try near.enqueue([UInt8](repeating: 9, count: 5_000), onSent: told)
                }
                count += 1
                try await loop.turns(2)
            }
            #expect(order.isEmpty)
            let reading = loop.async { try await far.readToEnd() }
            try await loop.turns(until: { order.count >= count })
            try await loop.turns(5)
            #expect(order == Array(0..<count))
            near.close()
            #expect(try await reading.value.count > kind.surfeit)
        }
    }

    /// All of it becomes due in one send.
    @Test func aWriteThatWaitsForRoomGoesOnBetweenTheCallbacks_J2() async throws {
        try await withLoop { loop in
            let options = streamOptions {
                $0.highWaterMark = 2_500
                $0.lowWaterMark = 2_000
            }
            let (near, far) = MemoryTransport.pair(on: loop, capacity: 1 << 20)
            let script = ScriptedTransport(over: near, on: loop)
            script.everyWrite = .wouldBlock
            let stream = try IOStream(script, loop: loop, options: options)
            var order: [String] = []
            for number in 1...30 {
                try stream.enqueue([UInt8](repeating: 1, count: 100)) { _ in
                    order.append("\(number)")
                }
            }
            // Until position 1,010.
            loop.spawn {
                try await stream.write([UInt8](repeating: 2, count: 10)); order.append("w")
            }
            loop.spawn {
                try await stream.flush(); order.append("f")
            }
            try await loop.turns(5)
            #expect(order.isEmpty)
            script.everyWrite = .pass
            try await loop.turns(until: { order.count == 32 })
            let numbers = (1...30).map { "\($0)" }
            #expect(order == numbers[..<10] + ["w"] + numbers[10...] + ["f"])
            withExtendedLifetime(far) {}
        }
    }

    @Test(arguments: TransportKind.allCases)
    func onSentIsCalledInALaterCallbackNeverInsideACall_J18(
        over kind: TransportKind
    ) async throws {
        try await withLoop { loop in
            for way in 0..<5 {
                let (near, far) = try await kind.pair(on: loop)
                var calls = 0
                try near.enqueue("some bytes") { _ in calls += 1 }
                #expect(calls == 0)
                switch way {
                case 0: near.sendNow()
                case 1: near.close()
                case 2: near.abort()
                case 3: near.endWriting()
                default: try near.enqueue([]) { _ in }
                }
                #expect(calls == 0)
                let turn = loop.turnNumber
                try await loop.turns(until: { calls > 0 })
                #expect(loop.turnNumber > turn)
                try await loop.turns(5)
                #expect(calls == 1)
                near.abort()
                far.abort()
            }
        }
    }

    @Test(arguments: TransportKind.allCases, ["close", "endWriting"])
    func whatIsUnsentAtTheEndIsToldWhenItHasLeft_J2(
        over kind: TransportKind, way: String
    ) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var order: [String] = []
            try near.enqueue([UInt8](repeating: 1, count: kind.surfeit)) { result in
                order.append("first \(isSuccess(result))")
            }
            try near.enqueue("last") { result in order.append("last \(isSuccess(result))") }
            near.whenClosed { order.append("closed") }
            let answers = Answers()
            answers.ask("flush", on: loop) { try await near.flush() }
            answers.ask("own", on: loop) { try await near.writeAndFlush("own") }
            try await loop.turns(5)
            if way == "close" { near.close() } else { near.endWriting() }
            #expect(
                await streamFailure { try near.enqueue("x") { _ in order.append("x") } } == .closed)
            try await loop.turns(20)
            #expect(order.isEmpty && !answers.isComplete)
            #expect(try await far.readToEnd().count == kind.surfeit + 7)
            if way == "endWriting" { near.close() }
            try await near.closed()
            try await loop.turns(3)
            #expect(order == ["first true", "last true", "closed"])
            #expect(answers.texts == ["flush": "value", "own": "value"])
        }
    }

    @Test(arguments: TransportKind.allCases)
    func anAbortIsToldToThoseWhoseBytesWereDropped_J2(over kind: TransportKind) async throws {
        try await withLoop { loop in
            let (near, far) = try await kind.pair(on: loop)
            var results: [String] = []
            let told = { (result: Result<Void, StreamError>) in
                results.append(failure(in: result)?.message ?? "sent")
            }
            try near.enqueue("gone already", onSent: told)
            try await loop.turns(until: { results.count == 1 })
            try near.enqueue([UInt8](repeating: 1, count: kind.surfeit), onSent: told)
            try near.enqueue("b", onSent: told)
            near.onClose { results.append("closed") }
            let answers = Answers()
            answers.ask("own", on: loop) { try await near.writeAndFlush("own") }
            try await loop.turns(5)
            near.abort()
            try await loop.turns(10)
            let reason = "The stream was aborted by this side."
            #expect(results == ["sent", reason, reason, "closed"])
            #expect(answers.texts == ["own": "closed"])
            far.abort()
        }
    }

    @Test func aWriteThatIsRefusedIsNotTold_J2() async throws {
        try await withLoop { loop in
            // The bytes, and 128 of the first call.
            let options = streamOptions { $0.writeBufferMax = 228 }
            let (near, far) = try MemoryStream.pair(on: loop, options: options)
            var calls: [String] = []
            try loop.withoutContext {
                try near.enqueue(String(repeating: "a", count: 60)) { _ in calls.append("a") }
            }
            let large = String(repeating: "b", count: 41)
            for way in 0..<3 {
                let code = await streamFailure {
                    switch way {
                    case 0: try near.enqueue(large) { _ in calls.append("b") }
                    case 1: try near.enqueue(large.bytes) { _ in calls.append("b") }
                    default: try near.enqueue(large.bytes.span.bytes) { _ in calls.append("b") }
                    }
                }
                #expect(code == .bufferFull)
            }
            #expect(await streamFailure { try near.enqueue(large) } == .bufferFull)
            #expect(near.unsentBytes == 60)
            near.close()
            #expect(try await far.readToEnd().count == 60)
            try await loop.turns(3)
            #expect(calls == ["a"])
        }
    }

    /// A peer that does not read must not make this side hold closures without end. A test always
    /// has task-locals: the testing library's own.
    @Test(arguments: [false, true])
    func aCallThatIsOutstandingCountsAgainstTheLimit_J2(hasLocals: Bool) async throws {
        try await withLoop { loop in
            let options = streamOptions { $0.writeBufferMax = 10_000 }
            let (near, far) = try MemoryStream.pair(on: loop, options: options)
            var calls = 0
            var count = 0
            let fill = {
                while true {
                    try near.enqueue("a") { _ in calls += 1 }
                    count += 1
                }
            }
            let error = await failure {
                if hasLocals { try fill() } else { try loop.withoutContext(fill) }
            }
            #expect(count == 10_000 / (1 + (hasLocals ? 1_536 : 128)))
            #expect("\(error as Any)".contains("bytes of calls wait for that"))
            try await loop.turns(until: { calls == count })
            try near.enqueue([UInt8](repeating: 1, count: 10_000))
            near.close()
            #expect(try await far.readToEnd().count == count + 10_000)
        }
    }

    @Test(arguments: [262_144, 1_000_000])
    func aWriteThatFindsTheConnectionBrokenSaysSo_J2(count: Int) async throws {
        let reset = SystemError(errno: 104, operation: "send")
        try await withLoop { loop in
            for inPieces in [false, true] {
                let (carrier, far) = MemoryTransport.pair(on: loop)
                let script = ScriptedTransport(over: carrier, on: loop)
                script.writes = [.fail(reset)]
                let near = try IOStream(script, loop: loop)
                let bytes = [UInt8](repeating: 1, count: count)
                let error = await failure {
                    if inPieces {
                        try await near.write(pieces: [[1], bytes])
                    } else {
                        try await near.write(bytes)
                    }
                }
                #expect((error as? StreamError)?.cause as? SystemError == reset)
                withExtendedLifetime(far) {}
            }
        }
    }

    /// What a callback throws, and what it was given to run with.
    @Test func onSentHasTheWritersLocalsAndItsErrorsAreNotLost_I3() async throws {
        try await withLoop { loop in
            let log = LogCapture(of: loop)
            let (near, far) = try MemoryStream.pair(on: loop)
            var names: [String] = []
            try Place.$name.withValue("writer") {
                try near.enqueue("a") { _ in names.append(Place.name) }
                try near.enqueue([]) { _ in names.append(Place.name) }
            }
            try near.enqueue("b") { _ in throw Broken() }
            try near.enqueue("c") { _ in names.append(Place.name) }
            try await loop.turns(until: { names.count == 3 })
            #expect(names == ["writer", "writer", "nobody"])
            #expect(log.unhandled == 1)
            withExtendedLifetime(far) {}
        }
    }

    private enum Place {
        @TaskLocal static var name = "nobody"
    }
}

func isSuccess(_ result: Result<Void, StreamError>) -> Bool { failure(in: result) == nil }

func failure(in result: Result<Void, StreamError>) -> StreamError? {
    if case .failure(let error) = result { return error }
    return nil
}
