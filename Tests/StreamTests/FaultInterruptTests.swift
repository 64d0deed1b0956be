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
                let before = Holdings(of: loop)
                for kind in TransportKind.allCases {
                    try await echo(over: kind, on: loop)
                    // The poll is interrupted.
                    try await loop.sleep(for: .milliseconds(5))
                }
                let after = try await before.settled(on: loop)
                precondition(after <= before, "\(loop.dump())")
            }
            precondition(interruptions.load(ordering: .relaxed) > 50)
        }
    }

    /// Every second one of the calls that move bytes or accept.
    @Test(.enabled(if: ti_is_available()))
    func callsThatAreInterruptedLoseNothing() async {
        await #expect(processExitsWith: .success) {
            try IOLoop.run { loop in
                let before = Holdings(of: loop)
                ti_interrupt(true)
                for kind in TransportKind.allCases { try await echo(over: kind, on: loop) }
                let server = TCPServer(port: 0)
                try server.listen { stream in try await stream.write(stream.read(exactly: 2)) }
                let client = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                try await client.write("hi")
                let answer = try await client.readToEnd()
                precondition(answer == "hi".bytes)
                client.close()
                server.stop()
                let after = try await before.settled(on: loop)
                precondition(after <= before, "\(loop.dump())")
                // What another thread posts wakes the loop by a write and a read.
                let remote = loop.remote
                for _ in 0..<10 { try await loop.runInExecutor { remote.addCallback {} } }
                ti_interrupt(false)
            }
            for call in [TI_RECV, TI_SEND, TI_SENDMSG, TI_READ, TI_WRITE, TI_ACCEPT] {
                precondition(ti_interrupted(call) > 0, "call \(call.rawValue) was not interrupted")
            }
        }
    }
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
