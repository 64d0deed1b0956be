import Glibc
import Synchronization
import TestSupport
import Testing
import Updraft

private let interruptions = Atomic(0)

/// EINTR: signals that come all the time, in a process of its own.
@Suite struct FaultInterruptTests {
    @Test func signalsThatInterruptSystemCallsLoseNothing() async {
        await #expect(processExitsWith: .success) {
            interruptEveryHundredMicroseconds()
            try IOLoop.run { loop in
                for kind in TransportKind.allCases {
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
                    #expect(echoed == bytes, "\(kind)")
                    try await writing.value
                    try await echoing.value
                    near.close()
                    far.close()
                    try await near.closed()
                    try await far.closed()
                    // The poll is interrupted, too.
                    try await loop.sleep(for: .milliseconds(5))
                }
            }
            #expect(interruptions.load(ordering: .relaxed) > 50)
        }
    }
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
