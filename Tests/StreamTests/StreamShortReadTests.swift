import CTestInterrupts
import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Reads that stop short of what is there: a stream must not take them for the last. The bytes
/// behind such a place lie in the socket already when the loop looks, so that no event comes for
/// them.
@Suite struct StreamShortReadTests {
    /// What a peer can do to make one `recv` end before its time.
    enum Stop: String, CaseIterable, Sendable {
        /// TCP's urgent pointer, and the like of it on Unix sockets.
        case tcpUrgent, unixUrgent
        case unixDescriptor

        var kind: TransportKind { self == .tcpUrgent ? .tcp : .unix }

        /// Sends the bytes, with a place in between where a read stops.
        func send(_ first: String, _ second: String, on socket: Int32, _ passed: Int32) {
            if self == .unixDescriptor {
                pass(passed, with: first, on: socket)
            } else {
                expectSent(first, on: socket)
                expectSent("!", on: socket, Int32(MSG_OOB))
            }
            expectSent(second, on: socket)
        }
    }

    @Test(arguments: Stop.allCases)
    func aLineBehindAPlaceWhereReadsStopIsRead(stop: Stop) async throws {
        try await withLoop { loop in
            let (near, far) = try await stop.kind.pair(on: loop)
            let socket = try #require(near.transport.descriptor)
            for round in 1...3 {
                let line = loop.async { try await far.read(until: "\n") }
                try await far.waitsForAnEvent()
                stop.send("abc", "def\(round)\n", on: socket, socket)
                let came = try await withTimeout(.seconds(10)) { try await line.value }
                #expect(came == "abcdef\(round)\n".bytes)
            }
            // And an ordinary one.
            try await near.write("ghi\n")
            #expect(try await far.read(until: "\n") == "ghi\n".bytes)
            near.abort()
            far.abort()
        }
    }

    /// Whoever reads next, and not in callbacks of the event.
    @Test(arguments: Stop.allCases)
    func bytesBehindAPlaceWhereReadsStopAreThereForTheNextRead(stop: Stop) async throws {
        try await withLoop { loop in
            let (near, far) = try await stop.kind.pair(on: loop)
            let socket = try #require(near.transport.descriptor)
            stop.send("abc", "def", on: socket, socket)
            var came: [UInt8] = []
            try await withTimeout(.seconds(10)) {
                while came.count < 6 { came += try await far.read(upTo: 100) }
            }
            #expect(came == "abcdef".bytes)
            near.abort()
            far.abort()
        }
    }

    @Test(arguments: Stop.allCases)
    func aParserGetsWhatIsBehindAPlaceWhereReadsStop(stop: Stop) async throws {
        try await withLoop { loop in
            let (near, far) = try await stop.kind.pair(on: loop)
            let socket = try #require(near.transport.descriptor)
            var came: [UInt8] = []
            far.consume(
                onBytes: { bytes in
                    came += bytes
                    return bytes.count
                }, onEnd: { _ in })
            try await loop.turns(5)
            stop.send("abc", "def", on: socket, socket)
            try await withTimeout(.seconds(10)) {
                try await loop.turns(until: { came.count == 6 })
            }
            #expect(came == "abcdef".bytes)
            near.abort()
            far.abort()
        }
    }

    /// The records are whole: the byte out of band is no part of what TLS reads.
    @Test(arguments: [Stop.tcpUrgent, .unixUrgent])
    func recordsBehindAPlaceWhereReadsStopAreRead(stop: Stop) async throws {
        try await withLoop { loop in
            let (near, far) = try await stop.kind.securePair(on: loop)
            let upper = try #require(near.transport as? any LayeredTransport)
            let socket = try #require(upper.base.descriptor)
            for _ in 0..<3 {
                let line = loop.async { try await far.read(until: "\n") }
                try await far.waitsForAnEvent()
                try near.enqueue("abc".bytes)
                near.sendNow()
                expectSent("!", on: socket, Int32(MSG_OOB))
                try near.enqueue("def\n".bytes)
                near.sendNow()
                let came = try await withTimeout(.seconds(10)) { try await line.value }
                #expect(came == "abcdef\n".bytes)
            }
            near.abort()
            far.abort()
        }
    }

    /// Nobody would ever close it: a peer could use up all that this process may have.
    @Test func aDescriptorThatAPeerPassesIsNotKept() async throws {
        try await withLoop { loop in
            let (near, far) = try await TransportKind.unix.pair(on: loop)
            let socket = try #require(near.transport.descriptor)
            var ends: [Int32] = [-1, -1]
            try #require(pipe(&ends) == 0)
            pass(ends[1], with: "take this\n", on: socket)
            close(ends[1])
            #expect(try await far.read(until: "\n") == "take this\n".bytes)
            // All who could write have gone.
            var end: UInt8 = 0
            _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
            #expect(read(ends[0], &end, 1) == 0)
            close(ends[0])
            near.abort()
            far.abort()
        }
    }

    /// A socket that is passed off as a pipe, as that of a program's standard input may be.
    @Test func aSocketReadAsAPipeStopsShortToo() async throws {
        try await withLoop { loop in
            var ends: [Int32] = [-1, -1]
            try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
            let far = try IOStream(readingPipe: ends[1], loop: loop)
            let line = loop.async { try await far.read(until: "\n") }
            try await far.waitsForAnEvent()
            Stop.unixDescriptor.send("abc", "def\n", on: ends[0], ends[0])
            let came = try await withTimeout(.seconds(10)) { try await line.value }
            #expect(came == "abcdef\n".bytes)
            close(ends[0])
            far.abort()
        }
    }

    /// O_DIRECT, which the C library shows to those only who ask for it.
    #if arch(arm64)
        private static let direct: Int32 = 0x10000
    #else
        private static let direct: Int32 = 0x4000
    #endif

    /// A read of it brings one packet, however many there are.
    @Test func aPipeOfPacketsIsReadToItsLast() async throws {
        try await withLoop { loop in
            var ends: [Int32] = [-1, -1]
            try #require(pipe(&ends) == 0)
            for end in ends { try #require(fcntl(end, F_SETFL, Self.direct) == 0) }
            let far = try IOStream(readingPipe: ends[0], loop: loop)
            let line = loop.async { try await far.read(until: "\n") }
            try await far.waitsForAnEvent()
            for packet in ["abc", "de", "f\n"] {
                #expect(write(ends[1], packet, packet.utf8.count) == packet.utf8.count)
            }
            let came = try await withTimeout(.seconds(10)) { try await line.value }
            #expect(came == "abcdef\n".bytes)
            close(ends[1])
            far.abort()
        }
    }

    /// The ordinary TCP connection pays nothing for the others; a Unix socket is asked once more.
    /// kqueue does not tell the one from the other.
    @Test(.enabled(if: ti_is_available()), arguments: [TransportKind.tcp, .unix])
    func anOrdinaryConnectionIsDrainedByAShortRead(kind: TransportKind) async {
        await #expect(processExitsWith: .success) { [name = kind.rawValue as String] in
            try IOLoop.run(poller: .epoll) { loop in
                let kind = TransportKind(rawValue: name)!
                let (near, far) = try await kind.pair(on: loop)
                let before = ti_calls(TI_RECV)
                for _ in 0..<50 {
                    let message = loop.async { try await far.read(upTo: 10) }
                    try await far.waitsForAnEvent()
                    try await near.write("x")
                    _ = try await message.value
                }
                let calls = ti_calls(TI_RECV) - before
                precondition(calls <= (kind == .tcp ? 51 : 101), "\(calls) calls")
                // Asked once more, there is nothing.
                precondition(far.bytesInKernel == 0)
                far.close()
                precondition(far.closeReason != nil && ti_calls(TI_RECV) - before == calls + 1)
            }
        }
    }

    /// Only input that is there makes a server wait for a peer to close.
    @Test func aServerOnAUnixSocketClosesAtOnceWhenAllWasRead() async throws {
        try await withLoop { loop in
            var template = Array("/tmp/updraft-short-XXXXXX".utf8CString)
            try #require(mkdtemp(&template) != nil)
            let folder = String(
                decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
            defer { rmdir(folder) }
            let server = TCPServer(listeningOn: [.unix(folder + "/socket")])
            try server.listen { stream in
                try await stream.write(stream.read(until: "\n"))
            }
            let client = try await TCPClient.connect(
                to: SocketAddress(unixPath: folder + "/socket"))
            try await client.write("hi\n")
            #expect(try await client.readToEnd() == "hi\n".bytes)
            try await loop.turns(20)
            #expect(server.connectionCount == 0)
            client.close()
            server.stop()
        }
    }
}

extension IOStream {
    /// Lets its reader find nothing, so that only an event can wake it.
    fileprivate nonisolated(nonsending) func waitsForAnEvent() async throws {
        try await loop.turns(until: { isReading })
        try await loop.turns(5)
    }
}

private func expectSent(_ text: String, on socket: Int32, _ flags: Int32 = 0) {
    #expect(send(socket, text, text.utf8.count, flags) == text.utf8.count)
}

/// Sends text with a descriptor (SCM_RIGHTS), which the receiver did not ask for.
private func pass(_ descriptor: Int32, with text: String, on socket: Int32) {
    var bytes = text.bytes
    // A cmsghdr (its length, level and type), then the descriptor, filled up to 8.
    var control = [UInt8](repeating: 0, count: 24)
    let sent = control.withUnsafeMutableBytes { control in
        bytes.withUnsafeMutableBytes { bytes in
            control.storeBytes(of: 20, as: Int.self)
            control.storeBytes(of: SOL_SOCKET, toByteOffset: 8, as: Int32.self)
            control.storeBytes(of: Int32(SCM_RIGHTS), toByteOffset: 12, as: Int32.self)
            control.storeBytes(of: descriptor, toByteOffset: 16, as: Int32.self)
            var piece = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
            return withUnsafeMutablePointer(to: &piece) { piece in
                var message = msghdr()
                message.msg_iov = piece
                message.msg_iovlen = 1
                message.msg_control = control.baseAddress
                message.msg_controllen = control.count
                return sendmsg(socket, &message, 0)
            }
        }
    }
    #expect(sent == text.utf8.count)
}
