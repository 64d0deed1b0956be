import CTestInterrupts
import Glibc
import Synchronization
import TestSupport
import Testing
import Updraft

private let interruptions = Atomic(0)

/// EINTR, in processes of their own.
@Suite struct FaultInterruptTests {
    /// Signals that come all the time. They interrupt the poll; calls on descriptors that don't
    /// block are not interrupted by them, which is what the next test is for.
    @Test func signalsThatComeAllTheTimeLoseNothing() async {
        await #expect(processExitsWith: .success) {
            interruptEveryHundredMicroseconds()
            try IOLoop.run { loop in
                try await expectNoGrowth(on: loop) {
                    for kind in TransportKind.allCases {
                        try await echo(over: kind, on: loop)
                        try await sendFile(over: kind, on: loop)
                        // The poll is interrupted.
                        try await loop.sleep(for: .milliseconds(5))
                    }
                }
            }
            precondition(interruptions.load(ordering: .relaxed) > 50)
        }
    }

    /// Every second one of the calls that move bytes or accept.
    @Test(.enabled(if: ti_is_available()))
    func callsThatAreInterruptedLoseNothing() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                ti_interrupt(true)
                try await expectNoGrowth(on: loop) {
                    for kind in TransportKind.allCases {
                        try await echo(over: kind, on: loop)
                        try await sendFile(over: kind, on: loop)
                    }
                    try await exchangeDatagrams(on: loop)
                    try await askServer(on: loop)
                }
                // What another thread posts wakes the loop by a write and a read.
                let remote = loop.remote
                for _ in 0..<10 { try await loop.runInExecutor { remote.addCallback {} } }
                ti_interrupt(false)
            }
            for number in 0..<TI_CALLS.rawValue {
                precondition(ti_interrupted(ti_call(number)) > 0, "call \(number) came through")
            }
            for call in [TI_SENDFILE, TI_PREAD, TI_RECVMMSG, TI_SENDMMSG] {
                precondition(ti_shortened(call) > 0, "call \(call.rawValue) was never cut short")
            }
        }
    }

    /// What is said of sockets holds of the calls that are made, not of their results alone.
    @Test(.enabled(if: ti_is_available()))
    func aSocketIsGivenFilesByTheKernelAndPiecesInOneCall() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                for kind in [TransportKind.tcp, .unix] {
                    let (files, reads) = (ti_calls(TI_SENDFILE), ti_calls(TI_PREAD))
                    try await sendFile(over: kind, on: loop)
                    precondition(ti_calls(TI_SENDFILE) > files, "\(kind)")
                    precondition(ti_calls(TI_PREAD) == reads, "\(kind)")
                    let (near, far) = try await kind.pair(on: loop)
                    let (messages, sends) = (ti_calls(TI_SENDMSG), ti_calls(TI_SEND))
                    let pieces = (1...5).map { [UInt8](repeating: UInt8($0), count: 4_096) }
                    try await near.write(pieces: pieces)
                    try await near.flush()
                    precondition(ti_calls(TI_SENDMSG) == messages + 1, "\(kind)")
                    precondition(ti_calls(TI_SEND) == sends, "\(kind)")
                    precondition(ti_pieces() == 5, "\(kind)")
                    let came = try await far.read(exactly: 5 * 4_096)
                    precondition(came == pieces.flatMap(\.self), "\(kind)")
                }
                // Where the bytes are to be changed first, they come through this process.
                let (files, reads) = (ti_calls(TI_SENDFILE), ti_calls(TI_PREAD))
                try await sendFile(over: .tls, on: loop)
                precondition(ti_calls(TI_SENDFILE) == files)
                precondition(ti_calls(TI_PREAD) > reads)
            }
        }
    }
}

/// Sends a file to the other end of a pair, between other bytes.
private nonisolated(nonsending) func sendFile(
    over kind: TransportKind, on loop: IOLoop
) async throws {
    let file = try ScratchFile(kind.isSlow ? 50_000 : 3_000_000)
    let (near, far) = try await kind.pair(on: loop)
    let writing = loop.async {
        try await near.write("head\n")
        let count = try await near.sendFile(file.path)
        precondition(count == file.bytes.count)
        try await near.write("tail\n")
        near.endWriting()
    }
    // One that takes a cut call for a full socket waits for ever.
    let came = try await withTimeout(.seconds(30)) { try await far.readToEnd() }
    precondition(came == "head\n".bytes + file.bytes + "tail\n".bytes, "\(kind)")
    try await writing.value
    near.abort()
    far.abort()
}

/// A connection to a server: it connects, is accepted and answered.
private nonisolated(nonsending) func askServer(on loop: IOLoop) async throws {
    let server = TCPServer(port: 0)
    try server.listen { stream in try await stream.write(stream.read(exactly: 2)) }
    let client = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
    try await client.write("hi")
    let answer = try await client.readToEnd()
    precondition(answer == "hi".bytes)
    client.close()
    server.stop()
}

/// Datagrams one by one and many at once. Over loopback none is lost while there is room.
private nonisolated(nonsending) func exchangeDatagrams(on loop: IOLoop) async throws {
    var options = UDPSocket.Options()
    // So that many of them are received at once.
    options.receiveMax = 1_024
    let (near, far) = (try UDPSocket(), try UDPSocket(options: options))
    let address = far.localAddress
    for number in 0..<4 as Range<UInt8> { try await near.send([number], to: address) }
    let batch = (4..<40 as Range<UInt8>).map { OutgoingDatagram([$0], to: address) }
    var rest = batch[...]
    while !rest.isEmpty { rest = rest.dropFirst(try await near.sendBatch(Array(rest))) }
    var came: [UInt8] = []
    while came.count < 40 {
        let datagrams = try await withTimeout(.seconds(30)) { try await far.receiveBatch(upTo: 40) }
        came += datagrams.flatMap(\.bytes)
    }
    precondition(came == Array(0..<40))
    near.close()
    far.close()
}

/// Sends bytes through a pair of streams and back.
private nonisolated(nonsending) func echo(over kind: TransportKind, on loop: IOLoop) async throws {
    let (near, far) = try await kind.pair(on: loop)
    var random = SeededGenerator(seed: 4)
    let bytes = random.bytes(kind.isSlow ? 50_000 : 1_000_000)
    let echoing = loop.async {
        for try await chunk in far.chunks { try await far.write(chunk) }
        far.endWriting()
    }
    let writing = loop.async {
        try await near.write(bytes)
        near.endWriting()
    }
    let echoed = try await near.readToEnd()
    precondition(echoed == bytes, "\(kind)")
    try await writing.value
    try await echoing.value
    near.close()
    far.close()
    try await near.closed()
    try await far.closed()
}

/// Without `SA_RESTART`: calls that can be interrupted are.
private func interruptEveryHundredMicroseconds() {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in interruptions.add(1, ordering: .relaxed) }
    sigaction(SIGALRM, &action, nil)
    let interval = timeval(tv_sec: 0, tv_usec: 100)
    var timer = itimerval(it_interval: interval, it_value: interval)
    setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &timer, nil)
}
