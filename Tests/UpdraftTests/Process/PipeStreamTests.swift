import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Streams over pipes: contract row J20, list 3.2 numbers 48 and 49.
@Suite struct PipeStreamTests {
    @Test("3.2, 48: read until, read bytes, close, read to the end", arguments: PollerKind.tested)
    func aPipeIsReadLikeAConnection(_ poller: PollerKind) async throws {
        try await withLoop(poller: poller) { loop in
            let (reader, writer) = try IOStream.pipe(on: loop)
            try await writer.write("hel")
            try await writer.write("lo\r\nworld")
            #expect(try await reader.read(until: "\r\n") == "hello\r\n".bytes)
            #expect(try await reader.read(exactly: 5) == "world".bytes)
            try await writer.write("the rest")
            writer.close()
            #expect(try await reader.readToEnd() == "the rest".bytes)
        }
    }

    @Test("3.2, 49: a megabyte through a smaller pipe", arguments: PollerKind.tested)
    func aMegabyteGoesThroughAPipe(_ poller: PollerKind) async throws {
        try await withLoop(poller: poller) { loop in
            let (reader, writer) = try IOStream.pipe(on: loop)
            var random = SeededGenerator(seed: 49)
            let sent = random.bytes(1 << 20)
            let writing = loop.spawn {
                try await writer.write(sent)
                try await writer.flush()
                writer.close()
            }
            #expect(try await reader.read(exactly: sent.count) == sent)
            await writing.value
            #expect(await streamFailure { try await reader.read(upTo: 1) } == .endOfStream)
        }
    }

    @Test(arguments: PollerKind.tested)
    func manyPiecesKeepTheirOrder(_ poller: PollerKind) async throws {
        try await withLoop(poller: poller) { loop in
            let (reader, writer) = try IOStream.pipe(on: loop)
            var random = SeededGenerator(seed: 4)
            let pieces = (1...60).map { random.bytes($0 * 331) }
            for piece in pieces { try writer.enqueue(piece) }
            writer.close()
            #expect(try await reader.readToEnd() == pieces.flatMap(\.self))
        }
    }

    @Test(arguments: PollerKind.tested)
    func aReaderThatWaitsSeesTheEnd(_ poller: PollerKind) async throws {
        try await withLoop(poller: poller) { loop in
            let (reader, writer) = try IOStream.pipe(on: loop)
            loop.callLater(.milliseconds(1)) { writer.close() }
            #expect(await streamFailure { try await reader.read(upTo: 1) } == .endOfStream)
        }
    }

    @Test(arguments: PollerKind.tested)
    func aReaderThatGoesAwayLaterIsNoticedWithoutAWrite(_ poller: PollerKind) async throws {
        try await withLoop(poller: poller) { loop in
            let (reader, writer) = try IOStream.pipe(on: loop)
            // By now the poller has told of room, and nothing asks for more.
            try await loop.turns(5)
            reader.close()
            try await writer.closed()
            #expect((writer.closeReason?.cause as? SystemError)?.isBrokenPipe == true)
        }
    }

    /// To ask when it is closed closes nothing: a pipe that is only written has no end to be met.
    @Test(arguments: PollerKind.allCases)
    func aWriterWhoseClosingIsWaitedForStaysOpen(_ poller: PollerKind) async throws {
        try await withLoop(poller: poller) { loop in
            let (reader, writer) = try IOStream.pipe(on: loop)
            var closings = 0
            writer.onClose { closings += 1 }
            for round in 0..<3 {
                try await writer.writeAndFlush("round \(round)\n")
                try await loop.turns(3)
                #expect(try await reader.read(until: "\n") == "round \(round)\n".bytes)
            }
            #expect(closings == 0 && !writer.isClosed)
            // Reading it is an error of its own, as before.
            #expect(await streamFailure { try await writer.read(upTo: 1) } == .closed)
        }
    }

    @Test func aPipeThatHasEndedClosesItsStreamAndStaysReadable() async throws {
        try await withLoop { loop in
            let (reader, writer) = try IOStream.pipe(on: loop)
            try await writer.write("a\nbc")
            writer.close()
            var closings = 0
            reader.onClose { closings += 1 }
            await #expect(throws: StreamError.self) { try await reader.read(exactly: 9) }
            try await reader.closed()
            try await loop.turns(2)
            #expect(closings == 1)
            #expect(reader.closeReason?.code == .endOfStream)
            #expect(try await reader.read(until: "\n") == "a\n".bytes)
            var rest: [[UInt8]] = []
            for try await chunk in reader.chunks { rest.append(chunk) }
            #expect(rest == ["bc".bytes])
            #expect(try await reader.readToEnd() == [])
            #expect(await streamFailure { try await reader.read(upTo: 1) } == .endOfStream)
        }
    }

    @Test func endWritingClosesAStreamThatIsOnlyWritten() async throws {
        try await withLoop { loop in
            let (reader, writer) = try IOStream.pipe(on: loop)
            try await writer.write("x")
            writer.endWriting()
            try await writer.closed()
            #expect(try await reader.readToEnd() == "x".bytes)
        }
    }

    @Test(arguments: PollerKind.tested)
    func aWriterIsClosedWhenNobodyReads(_ poller: PollerKind) async throws {
        try await withLoop(poller: poller) { loop in
            let (reader, writer) = try IOStream.pipe(on: loop)
            try writer.enqueue([UInt8](repeating: 1, count: 1 << 20))
            let flushing = loop.async { await streamFailure { try await writer.flush() } }
            try await loop.turns(3)
            reader.close()
            #expect(try await flushing.value == .closed)
            #expect((writer.closeReason?.cause as? SystemError)?.isBrokenPipe == true)
        }
    }

    @Test func anIdleWriterIsClosedWhenNobodyReads() async throws {
        try await withLoop(poller: .epoll) { loop in
            let (reader, writer) = try IOStream.pipe(on: loop)
            reader.close()
            try await writer.closed()
            #expect((writer.closeReason?.cause as? SystemError)?.isBrokenPipe == true)
        }
    }

    @Test func theWrongDirectionIsAnError() async throws {
        try await withLoop { loop in
            let (reader, writer) = try IOStream.pipe(on: loop)
            #expect(await streamFailure { try await writer.read(upTo: 1) } == .closed)
            try await reader.write("x")
            #expect(await streamFailure { try await reader.flush() } == .closed)
            writer.close()
        }
    }

    @Test(arguments: PollerKind.tested)
    func twoPipesAreOneTwoWayStream(_ poller: PollerKind) async throws {
        try await withLoop(poller: poller) { loop in
            let (there, back) = (SystemPipe(), SystemPipe())
            let near = try IOStream(
                readingPipe: dup(back.readEnd), writingPipe: dup(there.writeEnd), loop: loop)
            let far = try IOStream(
                readingPipe: dup(there.readEnd), writingPipe: dup(back.writeEnd), loop: loop)
            for pipe in [there, back] {
                pipe.closeRead()
                pipe.closeWrite()
            }
            try await near.write("question?")
            near.endWriting()
            #expect(try await far.readToEnd() == "question?".bytes)
            #expect(!far.isClosed)
            try await far.write("answer")
            far.close()
            #expect(try await near.readToEnd() == "answer".bytes)
            try await near.closed()
            withExtendedLifetime((there, back)) {}
        }
    }

    /// The peer no longer reads, but goes on to write: that is still to be read.
    @Test func aTwoWayStreamOutlivesItsReader() async throws {
        try await withLoop { loop in
            let (there, back) = (SystemPipe(), SystemPipe())
            let near = try IOStream(
                readingPipe: dup(back.readEnd), writingPipe: dup(there.writeEnd), loop: loop)
            there.closeRead()
            try await loop.turns(4)
            back.put("later".bytes)
            back.closeWrite()
            #expect(try await near.readToEnd() == "later".bytes)
            near.close()
            withExtendedLifetime((there, back)) {}
        }
    }

    @Test func aFileIsRefusedAndStaysOpen() async throws {
        try await withLoop(poller: .epoll) { loop in
            let file = tmpfile()
            let descriptor = fileno(file)
            #expect(throws: SystemError.self) {
                _ = try IOStream(readingPipe: descriptor, loop: loop)
            }
            #expect(throws: SystemError.self) {
                let pipe = SystemPipe()
                _ = try IOStream(
                    readingPipe: pipe.readEnd, writingPipe: descriptor, loop: loop)
            }
            #expect(fcntl(descriptor, F_GETFD) >= 0)
            fclose(file)
        }
    }

    @Test func pipesLeaveNoDescriptors() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let (descriptors, streams) = (openDescriptors(), loop.openStreams)
                for round in 0..<500 {
                    let (reader, writer) = try IOStream.pipe(on: loop)
                    try await writer.write("x")
                    if round % 2 == 0 { writer.close() } else { writer.endWriting() }
                    // Never closed by hand.
                    _ = try await reader.readToEnd()
                }
                try await loop.turns(3)
                // The test harness has some of its own that come and go.
                precondition(openDescriptors() < descriptors + 50)
                precondition(loop.openStreams == streams)
            }
        }
    }
}
