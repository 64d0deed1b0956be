import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// `IOStream.detach`: contract rows J11 and J12.
@Suite struct DetachTests {
    private func send(_ descriptor: Int32, _ text: String) {
        let bytes = text.bytes
        precondition(Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
    }

    private func refusal(of stream: IOStream) -> StreamError? {
        do {
            _ = try stream.detach().release()
            return nil
        } catch {
            return error as? StreamError
        }
    }

    @Test(arguments: PollerKind.tested)
    func theDescriptorComesWithTheBytesThatWereReadAhead_J11(_ poller: PollerKind) async throws {
        try await withLoop(poller: poller) { loop in
            let (near, far) = try await connectedPair(on: loop)
            try await far.write("line\nahead")
            #expect(try await near.read(until: "\n") == "line\n".bytes)
            let openStreams = loop.openStreams
            let detached = try near.detach()
            #expect(detached.unreadBytes == "ahead".bytes)
            #expect(loop.openStreams == openStreams - 1)
            let number = detached.number
            // The connection goes on, in other hands, and those of another stream at last.
            send(number, "raw")
            #expect(try await far.read(exactly: 3) == "raw".bytes)
            let again = try IOStream(socket: detached.release(), loop: loop)
            try await far.write("more")
            #expect(try await again.read(exactly: 4) == "more".bytes)
            again.close()
            #expect(try await far.readToEnd() == [])
        }
    }

    @Test func aDetachedStreamIsClosedForAReasonAndItsCallbacksRunOnce() async throws {
        try await withLoop { loop in
            let (near, far) = try await connectedPair(on: loop)
            var closings = 0
            near.onClose { closings += 1 }
            let waiting = loop.async { try await near.closed() }
            try await loop.turns(2)
            let detached = try near.detach()
            #expect(closings == 0)
            try await waiting.value
            near.close()
            near.abort()
            try await loop.turns(3)
            #expect(closings == 1)
            #expect(near.closeReason?.code == .closed)
            #expect(near.closeReason?.message.contains("detached") == true)
            #expect(await streamFailure { try await near.read(upTo: 1) } == .closed)
            #expect(await streamFailure { try await near.write("x") } == .closed)
            #expect(refusal(of: near)?.message.contains("detached") == true)
            // Neither close has touched it.
            let number = detached.release()
            send(number, "still there")
            close(number)
            #expect(try await far.readToEnd() == "still there".bytes)
        }
    }

    @Test func aDescriptorThatNobodyReleasesIsClosed() async throws {
        try await withLoop { loop in
            let (near, far) = try await connectedPair(on: loop)
            do {
                let detached = try near.detach()
                #expect(fcntl(detached.number, F_GETFD) >= 0)
            }
            #expect(try await far.readToEnd() == [])
        }
    }

    @Test func aStreamThatIsBusyKeepsItsDescriptor() async throws {
        try await withLoop { loop in
            let (near, far) = try await connectedPair(on: loop)
            let reading = loop.async { try await near.read(exactly: 1) }
            try await loop.turns(2)
            #expect(refusal(of: near)?.code == .cannotDetach)
            #expect(refusal(of: near)?.message.contains("reading") == true)
            try await far.write("1")
            #expect(try await reading.value == [49])

            try near.enqueue([1, 2, 3])
            #expect(refusal(of: near)?.message.contains("3 bytes") == true)
            try await near.flush()
            #expect(refusal(of: near) == nil)

            let (left, _) = try await connectedPair(on: loop)
            left.close()
            #expect(refusal(of: left)?.code == .closed)
        }
    }

    @Test func whatIsNotOnePlainDescriptorIsRefused() async throws {
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop)
            #expect(refusal(of: near)?.code == .cannotDetach)
            try await near.write("goes on")
            #expect(try await far.read(exactly: 7) == "goes on".bytes)

            let (there, back) = (SystemPipe(), SystemPipe())
            let both = try IOStream(
                readingPipe: dup(back.readEnd), writingPipe: dup(there.writeEnd), loop: loop)
            #expect(refusal(of: both)?.code == .cannotDetach)
            back.put("in".bytes)
            #expect(try await both.read(exactly: 2) == "in".bytes)
            withExtendedLifetime((there, back)) {}
        }
    }

    @Test(arguments: PollerKind.tested)
    func aPipesEndCanBeDetached_J20(_ poller: PollerKind) async throws {
        try await withLoop(poller: poller) { loop in
            let (reader, writer) = try IOStream.pipe(on: loop)
            try await writer.write("a\nb")
            #expect(try await reader.read(until: "\n") == "a\n".bytes)
            let input = try reader.detach()
            #expect(input.unreadBytes == "b".bytes)
            let output = try writer.detach().release()
            send(output, "c")
            close(output)
            let rest = try IOStream(readingPipe: input.release(), loop: loop)
            #expect(try await rest.readToEnd() == "c".bytes)
        }
    }

    @Test func detachingLeavesNoDescriptorAndNoStream() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let (descriptors, streams) = (openDescriptors(), loop.openStreams)
                for _ in 0..<200 {
                    let (reader, writer) = try IOStream.pipe(on: loop)
                    let left = try reader.detach().release()
                    _ = try writer.detach()
                    close(left)
                }
                try await loop.turns(3)
                precondition(openDescriptors() < descriptors + 50)
                precondition(loop.openStreams == streams)
            }
        }
    }
}
