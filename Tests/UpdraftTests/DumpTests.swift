import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// `IOLoop.dump`: the answer to "what is stuck?".
@Suite struct DumpTests {
    /// The first line that begins so, without its indentation.
    private func line(_ start: String, in dump: String) -> String? {
        dump.split(separator: "\n").map { $0.drop { $0 == " " } }
            .first { $0.hasPrefix(start) }.map(String.init)
    }

    @Test func tasksStandThereWithTheirNamesAndWaits() async throws {
        try await withVirtualLoop { loop in
            let sleeper = loop.spawn(name: "sleeper") { try await loop.sleep(for: .seconds(9)) }
            let fresh = loop.spawn(name: "fresh") {}
            #expect(line("task 'fresh'", in: loop.dump()) == "task 'fresh': has not begun")
            loop.spawn { try await loop.sleep(for: .seconds(9)) }
            try await loop.turns(2)
            let dump = loop.dump()
            #expect(line("task 'sleeper'", in: dump) == "task 'sleeper': waits for a time")
            #expect(line("task without", in: dump) == "task without a name: waits for a time")
            #expect(line("task 'withLoop'", in: dump) == "task 'withLoop': runs now")
            #expect(line("tasks: ", in: dump) == "tasks: 3")
            sleeper.cancel()
            await fresh.value
            await sleeper.value
            #expect(line("task 'sleeper'", in: loop.dump()) == nil)
        }
    }

    @Test func childrenStandBelowTheirParents() async throws {
        try await withVirtualLoop { loop in
            let parent = loop.spawn(name: "parent") {
                try await withTimeout(.seconds(60)) {
                    try await loop.group { group in
                        group.spawn(name: "child") { try await loop.sleep(for: .seconds(9)) }
                    }
                }
            }
            try await loop.turns(3)
            let dump = loop.dump()
            let expected = """
                  task 'parent'
                    withTimeout: waits for other tasks to end
                      group
                        task 'child': waits for a time
                """
            #expect(dump.contains(expected), "\(dump)")
            parent.cancel()
            await parent.value
        }
    }

    @Test func streamsStandThereWithPeersUnsentBytesAndReaders() async throws {
        try await withLoop { loop in
            let (near, far) = try await connectedPair(on: loop)
            let descriptor = try #require(near.transport.descriptor)
            let reader = loop.spawn(name: "reader") { _ = try await near.read(exactly: 1) }
            try await loop.turns(2)
            var dump = loop.dump()
            let peer = try #require(near.peerAddress)
            #expect(
                line("descriptor \(descriptor):", in: dump)
                    == "descriptor \(descriptor): stream to \(peer), reading")
            #expect(
                line("task 'reader'", in: dump)
                    == "task 'reader': waits for bytes (descriptor \(descriptor))")
            #expect(line("connection from", in: dump) != nil, "a server's task")
            try await far.write([1])
            await reader.value
            let writer = loop.spawn(name: "writer") {
                try await near.write([UInt8](repeating: 0, count: 64 << 20))
            }
            try await loop.turns { near.unsentBytes > 0 }
            dump = loop.dump()
            let unsent = ", \(near.unsentBytes) bytes unsent"
            #expect(line("descriptor \(descriptor):", in: dump)?.hasSuffix(unsent) == true)
            #expect(
                line("task 'writer'", in: dump)
                    == "task 'writer': waits for its bytes to be sent (descriptor \(descriptor))")
            for _ in 0..<2 { try near.enqueue([1]) { _ in } }
            let callbacks = ", \(near.unsentBytes) bytes unsent, sending callbacks outstanding: 2"
            dump = loop.dump()
            #expect(line("descriptor \(descriptor):", in: dump)?.hasSuffix(callbacks) == true)
            near.abort()
            far.abort()
            await writer.value
        }
    }

    @Test func streamsWithoutADescriptorAndHandlersStandThereToo() async throws {
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop)
            let pipe = SystemPipe()
            try loop.addHandler(pipe.readEnd, events: .read) { _, _ in }
            let server = TCPServer(port: 0)
            try server.listen { _ in }
            try await loop.turns(3)
            let dump = loop.dump()
            #expect(line("streams without a descriptor: 2", in: dump) != nil)
            #expect(
                line("descriptor \(pipe.readEnd):", in: dump)
                    == "descriptor \(pipe.readEnd): a handler")
            #expect(dump.contains("listens on 127.0.0.1:\(server.port)"))
            #expect(dump.contains("the loop's waker"))
            loop.removeHandler(pipe.readEnd)
            server.stop()
            near.abort()
            far.abort()
        }
    }

    @Test func theNextTimeoutsStandThereInTheirOrder() async throws {
        try await withVirtualLoop { loop in
            for delay in [50, 1, 40, 2, 30, 3, 20, 4] { loop.callLater(.seconds(delay)) {} }
            let dump = loop.dump()
            let first = "timeouts: 8\n  in 1.0 s\n  in 2.0 s\n  in 3.0 s\n  in 4.0 s\n  in 20.0 s\n"
            #expect(dump.contains(first + "tasks:"), "\(dump)")
        }
    }

    @Test func nextDeadlinesAreTheLeastOnesOfAnyHeap() {
        var random = SeededGenerator(seed: 5)
        var heap = TimerHeap()
        #expect(heap.nextDeadlines(3).isEmpty)
        let deadlines = (0..<500).map { _ in Int64.random(in: 0..<200, using: &random) }
        for deadline in deadlines { _ = heap.add(deadline: deadline) {} }
        #expect(heap.nextDeadlines(60) == Array(deadlines.sorted().prefix(60)))
        #expect(heap.nextDeadlines(1_000) == deadlines.sorted())
    }

    @Test func aLongSectionIsCutAndCounted() async throws {
        try await withVirtualLoop { loop in
            for _ in 0..<20 { loop.spawn { try await loop.sleep(for: .seconds(1)) } }
            let dump = loop.dump(linesMax: 5)
            #expect(dump.hasSuffix("\n  … and 16 more"), "\(dump)")
            #expect(dump.split(separator: "\n").count < 25)
        }
    }
}
