import Glibc
import Updraft
import UpdraftRPC

// A program that fails if anything of it runs on a second thread. It is compiled three times, as
// three kinds of user module, and run with and without optimisation; see scripts/check-hops.

/// State that belongs to one loop: not Sendable, no locks.
nonisolated final class Room {
    var count = 0
}

/// An actor of the user's that lives on the loop.
actor Board: LoopBound {
    nonisolated let loopExecutor = LoopExecutor.ofThisThread
    private var sum = 0

    func add(_ value: Int) -> Int {
        Thread.check("an actor on the loop")
        sum += value
        return sum
    }
}

@MainActor var mainActorState = 0

@main
nonisolated struct Hops {
    static let rounds = 2_000

    static func main() throws {
        let arguments = CommandLine.arguments
        if arguments.count == 2, arguments[1] == "main-actor" { return try mainActorIsServed() }
        if arguments.count == 2, arguments[1] == "escape" { return try escape() }
        try IOLoop.run { loop in try await everything(loop) }
    }

    static nonisolated(nonsending) func everything(_ loop: IOLoop) async throws {
        let room = Room()
        let server = TCPServer(port: 0)
        try server.listen { stream in
            Thread.check("a server's handler")
            for try await chunk in stream.chunks {
                Thread.check("a server's handler, after a read")
                room.count += 1
                // Due at once, so that it goes through the timer heap without blocking the thread.
                try await loop.sleep(for: .zero)
                Thread.check("a server's handler, after a timer")
                try await stream.write(chunk)
            }
        }
        let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
        try await measure("chunks, writes and timers", rounds) {
            try await stream.write("ping")
            _ = try await stream.read(exactly: 4)
            Thread.check("a client, after a read")
        }
        try await measure("withTimeout, nested", rounds) {
            try await withTimeout(.seconds(5)) {
                try await stream.write("ping")
                try await withTimeout(.seconds(3)) { _ = try await stream.read(exactly: 4) }
            }
            Thread.check("after withTimeout")
        }
        try await structured(loop, room, stream)
        try await actors(loop)
        try await calls()
        stream.close()
        server.stop()
        guard room.count >= rounds * 4 else { fail("the server saw \(room.count) messages") }
        let threads = Thread.count
        guard threads == 1 else { fail("the process has \(threads) threads, not 1") }
        print("every check passed, on 1 thread")
    }

    static nonisolated(nonsending) func structured(
        _ loop: IOLoop, _ room: Room, _ stream: IOStream
    ) async throws {
        try await measure("async let", rounds) {
            async let left = doubled(20)
            async let right = doubled(1)
            let sum = await left + right
            guard sum == 42 else { fail("async let gave \(sum)") }
            Thread.check("after async let")
        }
        try await measure("a task group whose children wait", rounds) {
            let sum = await withTaskGroup(of: Int.self) { group in
                for value in 1...4 { group.addTask { await waited(value) } }
                var sum = 0
                for await value in group {
                    sum += value
                    room.count += 0
                    Thread.check("the body of a task group")
                }
                return sum
            }
            guard sum == 10 else { fail("the task group gave \(sum)") }
        }
        try await measure("loop.group with a stream", rounds) {
            try await loop.group { group in
                group.spawn {
                    Thread.check("a child of loop.group")
                    try await stream.write("ping")
                }
                group.spawn {
                    _ = try await stream.read(exactly: 4)
                    Thread.check("a child of loop.group, after a read")
                }
            }
        }
        try await measure("loop.async and loop.spawn", rounds) {
            let reply = loop.async { try await stream.read(exactly: 4) }
            let written = loop.spawn { try await stream.write("ping") }
            await written.value
            _ = try await reply.value
            Thread.check("after loop.async")
        }
    }

    static nonisolated(nonsending) func actors(_ loop: IOLoop) async throws {
        let board = Board()
        try await measure("an actor on the loop", rounds) {
            _ = await board.add(1)
            Thread.check("after a call of an actor")
        }
        try await measure("async let to an actor on the loop", rounds) {
            async let sum = board.add(1)
            _ = await sum
            Thread.check("after async let to an actor")
        }
    }

    static nonisolated(nonsending) func calls() async throws {
        let rpc = RPCServer(port: 0)
        rpc.register("sum") { (x: Int, y: Int) in
            Thread.check("a synchronous method")
            return x + y
        }
        rpc.register("later") { (peer: RPCPeer, x: Int) -> Int in
            Thread.check("an asynchronous method")
            let answer: Int = try await peer.call("confirm", x)
            Thread.check("an asynchronous method, after a call back")
            return answer
        }
        try rpc.bind()
        let serving = IOLoop.current.async { try await rpc.serve() }
        let methods = RPCMethods()
        methods.register("confirm") { (x: Int) in x }
        let peer = try await RPCClient.connect(
            host: "127.0.0.1", port: rpc.port, methods: methods)
        try await measure("calls in both directions", rounds) {
            let sum: Int = try await peer.call("sum", 20, 22)
            let later: Int = try await peer.call("later", sum)
            guard later == 42 else { fail("the call gave \(later)") }
            Thread.check("after a call")
        }
        peer.close()
        rpc.stop()
        try await serving.value
    }

    static func doubled(_ value: Int) async -> Int {
        Thread.check("async let")
        return value * 2
    }

    static func waited(_ value: Int) async -> Int {
        Thread.check("a child of a task group")
        try? await IOLoop.current.nextTurn()
        Thread.check("a child of a task group, after a wait")
        return value
    }

    /// The loop holds the main thread, and the main actor's work is served all the same.
    static func mainActorIsServed() throws {
        let sum = try IOLoop.run { loop in
            var sum = 0
            for _ in 1...100 {
                sum += await MainActor.run {
                    mainActorState += 1
                    return mainActorState
                }
                Thread.check("after the main actor")
            }
            return sum
        }
        guard sum == 5_050 else { fail("the main actor gave \(sum)") }
        print("the main actor was served")
    }

    /// Leaves the loop on purpose, so that the checks can be seen to fail.
    static func escape() throws {
        try IOLoop.run { loop in
            try await measure("a detached task in each round", rounds) {
                await Task.detached {}.value
            }
        }
    }

    /// Runs `body` so often and looks at the process's voluntary context switches meanwhile.
    static nonisolated(nonsending) func measure(
        _ what: String, _ rounds: Int, _ body: nonisolated(nonsending) () async throws -> Void
    ) async throws {
        let before = Thread.voluntarySwitches
        for _ in 0..<rounds { try await body() }
        let each = Double(Thread.voluntarySwitches - before) / Double(rounds)
        print("\(what): \(each) voluntary context switches a round")
        // A hop is at least one switch a round.
        guard each < 0.2 else { fail("\(what): \(each) voluntary context switches a round") }
    }
}

nonisolated enum Thread {
    static let main = pthread_self()

    static func check(_ place: String) {
        if pthread_equal(pthread_self(), main) == 0 { fail("\(place) ran on another thread") }
    }

    static var count: Int { tasks.count }

    /// Of all threads of the process.
    static var voluntarySwitches: Int {
        tasks.reduce(0) { sum, task in
            let status = read("/proc/self/task/\(task)/status")
            let line = status.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt") }
            return sum + (line?.split(separator: "\t").last.flatMap { Int($0) } ?? 0)
        }
    }

    private static var tasks: [String] {
        guard let folder = opendir("/proc/self/task") else { fail("/proc can't be read") }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.first?.isNumber == true { names.append(name) }
        }
        return names
    }

    private static func read(_ path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 8_192)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}

nonisolated func fail(_ message: String) -> Never {
    print("FAILED: \(message)")
    exit(1)
}
