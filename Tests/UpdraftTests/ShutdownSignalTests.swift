import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Signals and several loops: contract row P1.
@Suite struct ShutdownSignalTests {
    @Test func oneSignalStopsEveryLoopAndEachDrains_P1() async throws {
        let ready = Counter()
        let stopped = Counter()
        try await onFreshThread {
            try IOLoop.run(loops: 3) { loop in
                loop.onStop("count") { stopped.add() }
                let server = TCPServer(port: 0)
                let report = try await server.serve(
                    until: .signals([.sigusr2]),
                    ready: {
                        ready.add()
                        if ready.value == 3 { raiseSignal(.sigusr2) }
                    }, { _ in })
                #expect(report.signal == .sigusr2 && report.isClean)
            }
        }
        #expect(stopped.value == 3)
    }

    @Test func aLoopThatIsAskedToStopTakesTheOthersOfItsCrewAlong_P1() async throws {
        let stopped = Counter()
        try await onFreshThread {
            try IOLoop.run(loops: 3) { loop in
                try await loop.serve(until: .requested) {
                    if loop.name == "loop-2" { loop.shutDown() }
                }
                stopped.add()
            }
        }
        #expect(stopped.value == 3)
    }

    @Test func whatSeveralLoopsLoseIsOneError_P2() async throws {
        let error = await #expect(throws: ShutdownError.self) {
            try await onFreshThread {
                try IOLoop.run(loops: 3) { loop in
                    loop.onStop("hook of \(loop.name)") { throw Broken() }
                    try await loop.serve(until: .requested) { loop.shutDown() }
                }
            }
        }
        let names = error?.report.failedHooks.map(\.name).sorted()
        #expect(names == ["hook of loop-0", "hook of loop-1", "hook of loop-2"])
    }

    @Test func hundredsOfLoopsMayWaitForOneSignal_P1() async throws {
        try await withLoop { loop in
            var received = 0
            let watches = try (0..<200).map { _ in try SignalWatch() }
            for watch in watches { _ = try watch.add(.sigusr1, once: false) { received += 1 } }
            raiseSignal(.sigusr1)
            while received < watches.count {
                for watch in watches { watch.ready(.read) }
                try await loop.nextTurn()
            }
            #expect(received == watches.count)
        }
    }

    @Test func aHandlerOfOnesOwnKeepsASecondSignalFromEndingTheProcess_P1() async throws {
        try await withLoop { loop in
            var received = 0
            let serving = loop.async {
                try await loop.serve(until: .signals([.sigusr1]), drain: .seconds(1))
            }
            try await loop.turns(2)
            let id = try loop.addSignalHandler(.sigusr1) { received += 1 }
            for count in 1...3 {
                raiseSignal(.sigusr1)
                try await loop.turns { received == count }
            }
            #expect(try await serving.value.signal == .sigusr1)
            loop.removeSignalHandler(id)
        }
    }
}
