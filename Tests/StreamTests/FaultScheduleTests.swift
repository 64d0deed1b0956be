import TestSupport
import Testing
import Updraft
import UpdraftTLS
import UpdraftTesting

/// A transport at its worst, by a schedule that comes again with its seed: reads and writes of
/// every length, attempts in vain, and a failure at each call there is.
@Suite struct FaultScheduleTests {
    /// What the scripts stand above.
    enum Carrier: String, CaseIterable, Sendable {
        /// Memory that holds little.
        case memory
        case tlsOverMemory
        case tcp
        case tlsOverTCP
        case unix
        case tlsOverUnix
        case pipe

        /// What has descriptors of its own, which the loop watches for edges.
        var kind: TransportKind? {
            switch self {
            case .memory, .tlsOverMemory: nil
            case .tcp, .tlsOverTCP: .tcp
            case .unix, .tlsOverUnix: .unix
            case .pipe: .pipe
            }
        }

        var isTLS: Bool { rawValue.hasPrefix("tls") }
    }

    /// Two streams with a script between each and what carries it.
    private struct Faulty {
        let near: IOStream
        let far: IOStream
        let scripts: [ScriptedTransport]

        init(over carrier: Carrier, on loop: IOLoop) async throws {
            guard let kind = carrier.kind else {
                let (left, right) = MemoryTransport.pair(on: loop, capacity: 2_048)
                scripts = [left, right].map { ScriptedTransport(over: $0, on: loop) }
                near = try IOStream(scripts[0], loop: loop)
                far = try IOStream(scripts[1], loop: loop)
                return
            }
            (near, far) = try await kind.pair(on: loop)
            scripts = try [near, far].map { stream in
                var script: ScriptedTransport?
                try stream.replaceTransport {
                    let made = ScriptedTransport(over: $0, on: loop)
                    script = made
                    return made
                }
                return try #require(script)
            }
        }

        nonisolated(nonsending) func secureIfAsked(_ carrier: Carrier) async throws {
            if carrier.isTLS { try await secure() }
        }

        private nonisolated(nonsending) func secure() async throws {
            let (client, server) = try Self.contexts.get()
            let accepting = near.loop.async { try await far.startTLS(server: server) }
            do {
                try await near.startTLS(client: client, host: "localhost")
            } catch {
                _ = await failure { try await accepting.value }
                throw error
            }
            try await accepting.value
        }

        private static let contexts = Result {
            (try clientContext(), try serverContext { $0.resumesSessions = false })
        }
    }

    /// Lines there, the same lines back, ends in both directions. What came back.
    private nonisolated(nonsending) func converse(
        _ faulty: Faulty, _ lines: [[UInt8]]
    ) async throws -> [UInt8] {
        let (near, far) = (faulty.near, faulty.far)
        let echoing = near.loop.async {
            for try await line in far.lines(maxBytes: 4_096, keepingEnds: true) {
                try await far.write(line)
            }
            far.endWriting()
        }
        let writing = near.loop.async {
            for line in lines {
                try await near.write(line)
                if line.count % 3 == 0 { try await near.flush() }
            }
            near.endWriting()
        }
        var got: [UInt8] = []
        let end = await failure {
            while got.count < lines.reduce(0, { $0 + $1.count }) {
                got += try await near.read(until: "\n", maxBytes: 4_096)
            }
            got += try await near.readToEnd()
        }
        if end != nil { near.abort() }
        let others = [
            await failure { try await writing.value }, await failure { try await echoing.value },
        ]
        if let error = end ?? others[0] ?? others[1] { throw error }
        return got
    }

    private func lines(_ random: inout SeededGenerator, _ count: Int) -> [[UInt8]] {
        (0..<count).map { _ in
            let length = Int.random(in: 0..<200, using: &random)
            return random.bytes(length).map { $0 == 10 ? 11 : $0 } + [10]
        }
    }

    @Test("short reads and writes of every length", arguments: Carrier.allCases)
    func everyLengthOfReadAndWriteCarriesTheBytes(over carrier: Carrier) async throws {
        var random = SeededGenerator(seed: 1)
        let lines = lines(&random, 8)
        let lengths =
            carrier.isTLS ? [1, 2, 3, 5, 6, 21, 22, 23, 64, 333] : Array(1...72) + [333]
        try await withLoop { loop in
            try await expectNoGrowth(on: loop) {
                for length in lengths { try await converse(in: length, lines, carrier, loop) }
            }
        }
    }

    /// With reads and writes of so many bytes at the most.
    private nonisolated(nonsending) func converse(
        in length: Int, _ lines: [[UInt8]], _ carrier: Carrier, _ loop: IOLoop
    ) async throws {
        let faulty = try await Faulty(over: carrier, on: loop)
        if length > 5 { try await faulty.secureIfAsked(carrier) }
        for (index, script) in faulty.scripts.enumerated() {
            script.everyRead = .atMost(length)
            // The other end's are of another length, so that they fall together seldom.
            script.everyWrite = .atMost(index == 0 ? length : 1 + (73 - length % 73))
        }
        if length <= 5 { try await faulty.secureIfAsked(carrier) }
        #expect(try await converse(faulty, lines) == lines.flatMap(\.self), "\(length)")
        faulty.near.close()
        faulty.far.close()
        try await faulty.near.closed()
        try await faulty.far.closed()
    }

    @Test("EAGAIN storms between short reads and writes", arguments: Carrier.allCases)
    func anySeededScheduleCarriesTheBytes(over carrier: Carrier) async throws {
        try await withLoop { loop in
            try await expectNoGrowth(on: loop) {
                for seed in 1...(carrier.isTLS ? 6 : 24) {
                    var random = SeededGenerator(seed: UInt64(seed))
                    let lines = lines(&random, 20)
                    let faulty = try await Faulty(over: carrier, on: loop)
                    for script in faulty.scripts {
                        script.reads = steps(&random)
                        script.writes = steps(&random)
                    }
                    try await faulty.secureIfAsked(carrier)
                    #expect(try await converse(faulty, lines) == lines.flatMap(\.self), "\(seed)")
                    faulty.near.close()
                    faulty.far.close()
                }
            }
        }
    }

    /// Sockets are given it by the kernel, the others through memory.
    @Test("a file between short writes and EAGAIN storms", arguments: Carrier.allCases)
    func anySeededScheduleCarriesAFile(over carrier: Carrier) async throws {
        let file = try ScratchFile(50_000)
        try await withLoop { loop in
            // It makes the threads that open files.
            try await loop.runInExecutor {}
            try await expectNoGrowth(on: loop) {
                for seed in 1...3 as ClosedRange<UInt64> {
                    try await send(file, over: carrier, seed, on: loop)
                }
            }
        }
    }

    private nonisolated(nonsending) func send(
        _ file: ScratchFile, over carrier: Carrier, _ seed: UInt64, on loop: IOLoop
    ) async throws {
        var random = SeededGenerator(seed: seed)
        let faulty = try await Faulty(over: carrier, on: loop)
        try await faulty.secureIfAsked(carrier)
        let script = faulty.scripts[0]
        // None that lets all of it through.
        script.writes = steps(&random).filter { if case .pass = $0 { false } else { true } }
        script.everyWrite = .atMost(777)
        let sender = loop.async {
            let count = try await faulty.near.sendFile(file.path)
            faulty.near.endWriting()
            return count
        }
        #expect(try await faulty.far.readToEnd() == file.bytes)
        #expect(try await sender.value == 50_000)
        #expect(script.writes.isEmpty)
        faulty.near.abort()
        faulty.far.abort()
    }

    private func steps(_ random: inout SeededGenerator) -> [ScriptedTransport.Step] {
        var steps: [ScriptedTransport.Step] = []
        while steps.count < 400 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                let storm = Int.random(in: 1...40, using: &random)
                steps += [ScriptedTransport.Step](repeating: .wouldBlock, count: storm)
            case 1...3: steps.append(.wouldBlock)
            case 4...8: steps.append(.atMost(Int.random(in: 1...90, using: &random)))
            default: steps.append(.pass)
            }
        }
        return steps
    }

    /// Each call of the transport fails in turn, at either end, until one is never made.
    @Test(
        "reset in every state", arguments: Carrier.allCases,
        ["near read", "near write", "far read", "far write"])
    func aResetAtAnyCallAnswersEveryWaiterOnce(over carrier: Carrier, place: String) async throws {
        var random = SeededGenerator(seed: 9)
        let lines = lines(&random, 14)
        try await withLoop { loop in
            try await expectNoGrowth(on: loop) {
                var number = 0
                while try await isMet(number, place, carrier, lines, on: loop) { number += 1 }
                #expect(number > 10)
            }
        }
    }

    /// Lets a call fail. Whether there were so many.
    private nonisolated(nonsending) func isMet(
        _ number: Int, _ place: String, _ carrier: Carrier, _ lines: [[UInt8]], on loop: IOLoop
    ) async throws -> Bool {
        let faulty = try await Faulty(over: carrier, on: loop)
        let script = faulty.scripts[place.hasPrefix("near") ? 0 : 1]
        fail(script, at: number, place)
        let answers = watch(faulty, on: loop)
        let error = await failure {
            try await faulty.secureIfAsked(carrier)
            return try await converse(faulty, lines)
        }
        faulty.near.close()
        faulty.far.close()
        try await loop.turns(until: { answers.isComplete })
        #expect(answers.texts == ["near": "value", "far": "value"], "\(number)")
        let isMet = (script.reads + script.writes).isEmpty
        if !isMet { #expect(error == nil) }
        return isMet
    }

    private func fail(_ script: ScriptedTransport, at number: Int, _ place: String) {
        script.everyRead = .atMost(90)
        script.everyWrite = .atMost(110)
        let isRead = place.hasSuffix("read")
        let step = isRead ? script.everyRead : script.everyWrite
        let failing = ScriptedTransport.Step.fail(SystemError(errno: 104, operation: place))
        let steps = [ScriptedTransport.Step](repeating: step, count: number) + [failing]
        if isRead { script.reads = steps } else { script.writes = steps }
    }

    private func watch(_ faulty: Faulty, on loop: IOLoop) -> Answers {
        let answers = Answers()
        answers.ask("near", on: loop) { try await faulty.near.closed() }
        answers.ask("far", on: loop) { try await faulty.far.closed() }
        return answers
    }
}
