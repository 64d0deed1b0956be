// Unsafe: gives the kernel the address of a one-instruction filter for the length of a call.

#if os(Linux)
    import Glibc
    import TestSupport
    import Testing
    import Updraft
    import UpdraftTesting

    /// A peer that was cut off: from one moment on its kernel drops every packet of the connection,
    /// as a pulled cable does. Only what the socket was told about time ends such a connection.
    @Suite struct FaultSilenceTests {
        /// An instruction of a socket filter; see `linux/filter.h`.
        private struct FilterStep {
            var code: UInt16
            var whenTrue: UInt8 = 0
            var whenFalse: UInt8 = 0
            var constant: UInt32 = 0
        }

        private struct Filter {
            var count: UInt16
            var steps: UnsafeMutablePointer<FilterStep>
        }

        /// Lets the socket's kernel drop whatever comes for it, before TCP sees it.
        private func cutOff(_ stream: IOStream) throws {
            let descriptor = try #require(stream.transport.descriptor)
            // BPF_RET | BPF_K: accept nothing of the packet.
            var step = FilterStep(code: 0x06)
            let result = withUnsafeMutablePointer(to: &step) { steps in
                var filter = Filter(count: 1, steps: steps)
                let length = socklen_t(MemoryLayout<Filter>.size)
                return setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &filter, length)
            }
            guard result == 0 else { throw SystemError(errno: errno, operation: "filter") }
        }

        /// A client with these options, and the server's end.
        private nonisolated(nonsending) func pair(
            on loop: IOLoop, _ change: (inout SocketOptions) -> Void
        ) async throws -> (near: IOStream, far: IOStream) {
            let server = TCPServer(port: 0)
            var accepted: IOStream?
            try server.listen { stream in
                accepted = stream
                try await stream.closed()
            }
            var options = TCPClient.Options()
            change(&options.socket)
            let near = try await TCPClient.connect(
                host: "127.0.0.1", port: server.port, options: options)
            try await loop.turns(until: { accepted != nil })
            server.stop()
            return (near, try #require(accepted))
        }

        private func expectTimedOut(_ stream: IOStream) {
            #expect((stream.closeReason?.cause as? SystemError)?.errno == ETIMEDOUT)
        }

        /// `userTimeout`, which is TCP_USER_TIMEOUT.
        @Test func whatIsNeverAcknowledgedEndsTheConnectionAfterTheUserTimeout() async throws {
            try await withLoop { loop in
                let before = Holdings(of: loop)
                let (near, far) = try await pair(on: loop) {
                    $0.userTimeout = .milliseconds(300)
                }
                try await near.write("heard")
                #expect(try await far.read(exactly: 5) == "heard".bytes)
                try cutOff(far)
                let answers = Answers()
                answers.ask("read", on: loop) { _ = try await near.read(upTo: 1) }
                answers.ask("closed", on: loop) { try await near.closed() }
                let start = loop.now
                try await near.write("never heard")
                try await near.closed()
                try await loop.turns(until: { answers.isComplete })
                #expect(answers.texts == ["read": "closed", "closed": "value"])
                expectTimedOut(near)
                let time = start.duration(to: loop.now)
                #expect(time >= .milliseconds(250) && time < .seconds(10), "\(time)")
                far.abort()
                try await expectNothingLeft(since: before, on: loop)
            }
        }

        /// `keepAlive`.
        @Test func probesEndAConnectionOnWhichNothingHappens() async throws {
            try await withLoop { loop in
                let before = Holdings(of: loop)
                let (near, far) = try await pair(on: loop) {
                    $0.keepAlive = .init(idle: .seconds(1), interval: .seconds(1), count: 1)
                }
                let (other, otherFar) = try await pair(on: loop) {
                    $0.keepAlive = .init(idle: .seconds(1), interval: .seconds(1), count: 1)
                }
                try cutOff(far)
                let start = loop.now
                let answers = Answers()
                answers.ask("read", on: loop) { _ = try await near.read(upTo: 1) }
                answers.ask("closed", on: loop) { try await near.closed() }
                try await near.closed()
                try await loop.turns(until: { answers.isComplete })
                #expect(answers.texts == ["read": "closed", "closed": "value"])
                expectTimedOut(near)
                let time = start.duration(to: loop.now)
                #expect(time >= .seconds(1) && time < .seconds(10), "\(time)")
                // Where somebody answers, nothing ends.
                #expect(!other.isClosed)
                for stream in [far, other, otherFar] { stream.abort() }
                try await expectNothingLeft(since: before, on: loop)
            }
        }
    }
#endif
