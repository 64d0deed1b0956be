import Glibc
import Synchronization
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Servers on Unix sockets: netutil's `bind_unix_socket`, contract rows K4 and K7.
@Suite struct UnixSocketTests {
    private nonisolated(nonsending) func expectServed(_ address: SocketAddress) async throws {
        let stream = try await TCPClient.connect(to: address)
        try await expectEcho(stream)
        stream.close()
    }

    @Test func aServerServesTCPAndUnixAtOnce_K2() async throws {
        try await withLoop { loop in
            let folder = SocketFolder()
            let server = TCPServer(listeningOn: [.unix(folder("a")), .tcp(port: 0)])
            try server.listen { stream in try await echo(stream) }
            #expect(server.localAddress == SocketAddress(unixPath: folder("a")))
            #expect(server.port != 0)
            try await expectServed(SocketAddress(unixPath: folder("a")))
            try await expectEcho(try await connect(server))
            // While it serves, too.
            try server.bind(to: .unix(folder("b")))
            try await expectServed(SocketAddress(unixPath: folder("b")))
            server.stop()
            #expect(fileMode(folder("a")) == nil && fileMode(folder("b")) == nil)
            _ = loop
        }
    }

    @Test(arguments: [0o600, 0o666, 0o622, 0o660] as [UInt32])
    func theModeIsTheOneAskedForWhateverTheUmask_K7(mode: UInt32) async throws {
        try await withLoop { _ in
            let folder = SocketFolder()
            let server = TCPServer(listeningOn: [.unix(folder("a"), mode: mode)])
            try server.bind()
            #expect(fileMode(folder("a")) == S_IFSOCK | mode)
            server.stop()
        }
    }

    @Test func theFileOfAServerThatIsGoneIsReplaced_K7() async throws {
        try await withLoop { loop in
            let folder = SocketFolder()
            leaveSocketFile(folder("a"))
            let server = TCPServer(listeningOn: [.unix(folder("a"))])
            try server.listen { stream in try await echo(stream) }
            try await expectServed(SocketAddress(unixPath: folder("a")))
            server.stop()
            _ = loop
        }
    }

    @Test func theFileOfAServerThatServesIsLeftAlone_K7() async throws {
        try await withLoop { loop in
            let folder = SocketFolder()
            let address = SocketAddress(unixPath: folder("a"))
            let options = serverOptions { $0.backlog = 0 }
            let first = TCPServer(listeningOn: [.unix(folder("a"))], options: options)
            try first.bind()
            let before = openChannels()
            for isFull in [false, true] {
                var clients: [IOStream] = []
                while isFull, let client = try? await TCPClient.connect(to: address) {
                    clients.append(client)
                }
                let second = TCPServer(listeningOn: [.unix(folder("a"))])
                let error = await streamError { try second.bind() }
                #expect(error?.code == .cannotListen)
                #expect(error?.message.contains("is taken already") == true)
                for client in clients { client.close() }
            }
            #expect(openChannels() == before)
            try first.listen { stream in try await echo(stream) }
            try await loop.waitUntilIdle()
            try await expectServed(address)
            first.stop()
        }
    }

    @Test func whatIsNoSocketIsLeftAlone_K7() async throws {
        try await withLoop { _ in
            let folder = SocketFolder()
            close(open(folder("file"), O_WRONLY | O_CREAT, 0o644))
            symlink(folder("nowhere"), folder("link"))
            for name in ["file", "link"] {
                let before = fileMode(folder(name))
                let server = TCPServer(listeningOn: [.unix(folder(name))])
                let error = await streamError { try server.bind() }
                #expect(error?.code == .cannotListen)
                #expect(error?.message.contains("no socket") == true)
                #expect(before != nil && fileMode(folder(name)) == before)
            }
        }
    }

    @Test func aFileThatHasReplacedTheServersIsNotRemoved_K6() async throws {
        try await withLoop { _ in
            let folder = SocketFolder()
            let server = TCPServer(listeningOn: [.unix(folder("a"))])
            try server.bind()
            // Made before the other one goes, so that it can't get its inode.
            leaveSocketFile(folder("b"))
            #expect(rename(folder("b"), folder("a")) == 0)
            server.stop()
            #expect(fileMode(folder("a")) != nil)
        }
    }

    @Test func thePathsLimitsAreClearErrors_K7() async throws {
        try await withLoop { _ in
            let long = String(repeating: "x", count: 108)
            let errors = [
                (ListenAddress.unix(long), "108 bytes and may have 107"),
                (.unix(""), "no path"), (.unix("a\0b"), "no path"), (.unix("\0ab"), "no path"),
                (.unix(abstract: long), "1 to 107"), (.unix(abstract: ""), "1 to 107"),
                (.unix("no-such-folder/a"), "Can't listen on no-such-folder/a."),
            ]
            for (address, text) in errors {
                let server = TCPServer(listeningOn: [address])
                let error = await streamError { try server.bind() }
                #expect(error?.code == .cannotListen)
                #expect(error?.message.contains(text) == true, "\(String(describing: error))")
            }
        }
    }

    @Test func anAbstractNameIsServedWithoutAFile_K7() async throws {
        try await withLoop { loop in
            let start = "updraft-test-\(getpid())"
            // As long as it may be.
            let name = start + String(repeating: "x", count: 107 - start.utf8.count)
            let server = TCPServer(listeningOn: [.unix(abstract: name)])
            try server.listen { stream in try await echo(stream) }
            #expect(server.localAddress == SocketAddress(abstractName: name))
            #expect(server.localAddress?.description == "@\(name)")
            #expect(server.port == 0)
            try await expectServed(SocketAddress(abstractName: name))
            let second = TCPServer(listeningOn: [.unix(abstract: name)])
            let error = await streamError { try second.bind() }
            #expect(error?.message == "Can't listen on @\(name): it is taken already.")
            server.stop()
            try TCPServer(listeningOn: [.unix(abstract: name)]).bind()
            _ = loop
        }
    }

    @Test func theLoopsOfACrewShareAUnixSocket_K4() async throws {
        let folder = SocketFolder()
        let path = folder("a")
        let served = Counter()
        try await onFreshThread {
            let started = Counter()
            try IOLoop.run(loops: 2) { loop in
                let server = TCPServer(listeningOn: [.unix(path)])
                try server.listen { stream in
                    served.add()
                    try await echo(stream)
                }
                started.add()
                while started.value < 2 { try await loop.nextTurn() }
                if loop.name == "loop-0" {
                    for _ in 0..<10 {
                        let stream = try await TCPClient.connect(to: SocketAddress(unixPath: path))
                        try await expectEcho(stream)
                        stream.close()
                    }
                    loop.shutDown()
                }
                try await loop.serve(until: .requested)
            }
        }
        #expect(served.value == 10)
        #expect(fileMode(path) == nil)
    }

    @Test func aPathOrNameTwiceIsRefused_K7() async throws {
        try await withLoop { _ in
            let folder = SocketFolder()
            let addresses: [ListenAddress] = [
                .unix(folder("a")), .unix(abstract: "updraft-twice-\(getpid())"),
            ]
            let server = TCPServer(listeningOn: addresses)
            try server.bind()
            for address in addresses {
                let error = await streamError { try server.bind(to: address) }
                #expect(error?.message == "The server listens on \(address) already.")
            }
            #expect(server.localAddresses.count == 2)
            server.stop()
        }
    }

    @Test func aSocketThatMayNotBeTriedIsNotSaidToBeServed_K7() async {
        await #expect(processExitsWith: .success) {
            let folder = SocketFolder()
            let path = folder("a")
            leaveSocketFile(path)
            chmod(path, 0)
            chmod(folder.path, 0o777)
            // Nothing stops root from connecting.
            if geteuid() == 0 { seteuid(65_534) }
            try await withLoop { _ in
                let server = TCPServer(listeningOn: [.unix(path)])
                let error = await streamError { try server.bind() }
                precondition(error?.code == .cannotListen)
                precondition(error?.message.contains("may not connect") == true)
            }
            seteuid(getuid())
            precondition(fileMode(path) != nil)
        }
    }

    @Test func aRelativePathIsOfTheFolderInWhichItWasBound_K6() async {
        await #expect(processExitsWith: .success) {
            try await withLoop { _ in
                let folder = SocketFolder()
                precondition(chdir(folder.path) == 0)
                let server = TCPServer(listeningOn: [.unix("a")])
                try server.bind()
                precondition(fileMode(folder("a")) != nil && chdir("/") == 0)
                server.stop()
                precondition(fileMode(folder("a")) == nil)
            }
        }
    }

    @Test("K7: of two that begin to listen on a path at once, one does")
    func oneOfTwoGetsAPath_K7() async throws {
        let folder = SocketFolder()
        let path = folder("a")
        let race = Race(path)
        for round in 0..<200 {
            if round % 2 == 0 { leaveSocketFile(path) }
            async let one: Void = onFreshThread { race.run(round) }
            async let two: Void = onFreshThread { race.run(round) }
            _ = try await (one, two)
            let sockets = race.takeSockets()
            #expect(sockets.count == 1, "round \(round)")
            try await withLoop { _ in
                let stream = try await TCPClient.connect(to: SocketAddress(unixPath: path))
                stream.close()
            }
            for socket in sockets { socket.close() }
        }
        let reasons = race.failures
        #expect(reasons.count == 200 && reasons.allSatisfy { $0.contains(path) })
    }

    @Test func aFolderThatSomebodyHasLockedIsAClearError_K7() async throws {
        let folder = SocketFolder()
        let lock = open(folder.path, O_RDONLY | O_DIRECTORY)
        #expect(flock(lock, LOCK_EX) == 0)
        let error = await streamError { try ListeningSocket.bind(to: .unix(folder("a"))) }
        #expect(error?.code == .cannotListen)
        #expect(error?.message.contains("about to") == true && fileMode(folder("a")) == nil)
        close(lock)
        try ListeningSocket.bind(to: .unix(folder("a")))[0].close()
    }

    /// Threads that bind one path at the same time.
    private final class Race: Sendable {
        private let path: String
        private let arrived = Atomic(0)
        private let results = Mutex<(made: [ListeningSocket], failures: [String])>(([], []))

        init(_ path: String) {
            self.path = path
        }

        var failures: [String] { results.withLock { $0.failures } }

        func takeSockets() -> [ListeningSocket] {
            results.withLock { results in
                defer { results.made = [] }
                return results.made
            }
        }

        func run(_ round: Int) {
            arrived.add(1, ordering: .sequentiallyConsistent)
            while arrived.load(ordering: .sequentiallyConsistent) < 2 * (round + 1) {}
            do {
                let bound = try ListeningSocket.bind(to: .unix(path))
                results.withLock { $0.made += bound }
            } catch {
                results.withLock { $0.failures.append("\(error)") }
            }
        }
    }
}
