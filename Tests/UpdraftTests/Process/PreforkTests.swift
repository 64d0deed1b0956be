import Glibc
import TestSupport
import Testing

@testable import Updraft

/// What `Prefork.run` refuses before it starts anything: issue 3, part 9. What it does is held by
/// `Tests/Programs/test_prefork.py`.
@Suite struct PreforkTests {
    private func refusal(
        processes: Int = 2, loops: Int = 1, listen: [Prefork.ListenAddress] = []
    ) async throws -> (any Error)? {
        do {
            try await onFreshThread {
                try Prefork.run(processes: processes, loops: loops, listen: listen) { _ in }
            }
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [-1, 1_025])
    func anImpossibleNumberIsRefusedByName(number: Int) async throws {
        let processes = try await refusal(processes: number) as? PreforkError
        #expect(processes?.code == .invalidArgument)
        #expect(processes?.message.contains("processes must be between 0 and 1024") == true)
        let loops = try await refusal(loops: number) as? PreforkError
        #expect(loops?.message.contains("loops must be between 0 and 1024") == true)
    }

    @Test func anAddressThatIsListedTwiceIsRefused() async throws {
        let error = try await refusal(listen: [.tcp(port: 0), .tcp(port: 0)]) as? PreforkError
        #expect(error?.code == .invalidArgument)
        #expect(error?.message == "the address 127.0.0.1:0 is listed twice.")
    }

    @Test func aHostThatIsNoAddressIsRefused() async throws {
        let error = try await refusal(listen: [.tcp(host: "localhost", port: 0)]) as? StreamError
        #expect(error?.code == .cannotListen)
        #expect(error?.message.contains("give a numeric address") == true)
    }

    @Test func anEmptyHostIsAllInterfacesOnOnePort() throws {
        let listeners = try PreforkListeners([.tcp(host: "", port: 0)], workers: 3, loops: 2)
        let addresses = listeners.addresses
        #expect(addresses.first?.host == "0.0.0.0" && addresses.first?.port != 0)
        #expect(Set(addresses.map(\.port)).count == 1)
        #expect((0..<3).allSatisfy { listeners.sockets(of: $0).count == 2 * addresses.count })
        #expect(listeners.asked.first == .tcp(host: "0.0.0.0", port: 0))
        guard addresses.count == 2 else { return print("no IPv6 here: it is not tested") }
        #expect(addresses[1].host == "::" && listeners.asked[1] == .tcp(host: "::", port: 0))
        let port = try #require(addresses[0].port)
        let error = #expect(throws: StreamError.self) {
            try PreforkListeners([.tcp(host: "", port: port)], workers: 1, loops: 1)
        }
        #expect(error?.message == "Port \(port) on 0.0.0.0 is taken already.")
    }

    @Test func anEmptyHostAndOneOfItsAddressesAreOneAddressTwice() async throws {
        let listen: [Prefork.ListenAddress] = [
            .tcp(host: "", port: 7_000), .tcp(host: "0.0.0.0", port: 7_000),
        ]
        let before = openDescriptors()
        let error = try await refusal(listen: listen) as? PreforkError
        #expect(error?.message == "the address 0.0.0.0:7000 is listed twice.")
        #expect(openDescriptors() == before)
    }

    @Test func whatABindThatFailsHasTakenMayBeTakenAgain() async {
        await #expect(processExitsWith: .success) {
            let inherited = try PreforkListeners(
                [.tcp(host: "0.0.0.0", port: 0), .tcp(port: 0)], workers: 1, loops: 2)
            let sockets = inherited.sockets(of: 0)
            let asked = try ["0.0.0.0", "127.0.0.1"].map { try SocketAddress(host: $0, port: 0) }
            InheritedListeners.fill(
                [asked[0]: Array(sockets[..<2]), asked[1]: Array(sockets[2...])]
            ) {}
            try await withLoop { _ in
                let taken = TCPServer(host: "127.0.0.2", port: 0)
                try taken.bind()
                let failing = TCPServer(
                    listeningOn: [
                        .tcp(host: "0.0.0.0", port: 0), .tcp(port: 0),
                        .tcp(host: "127.0.0.2", port: taken.port),
                    ])
                let error = await streamError { try failing.bind() }
                precondition(error?.message.contains("Prefork.run(listen:)") == true)
                for number in 0..<2 {
                    let server = TCPServer(host: "0.0.0.0", port: 0)
                    try server.bind()
                    precondition(server.listeners[0].socket.descriptor == sockets[number])
                }
                try TCPServer(port: 0).bind()
            }
        }
    }

    @Test func aWorkerIsNotGivenHalfOfAllInterfacesSilently() async {
        await #expect(processExitsWith: .success) {
            let inherited = try PreforkListeners(
                [.tcp(host: "0.0.0.0", port: 0)], workers: 1, loops: 1)
            let asked = try SocketAddress(host: "0.0.0.0", port: 0)
            InheritedListeners.fill([asked: inherited.sockets(of: 0)]) {}
            guard Listener.isPossible(try SocketAddress(host: "::", port: 0)) else { return }
            try await withLoop { _ in
                let server = TCPServer(host: "", port: 0)
                let error = await streamError { try server.bind() }
                precondition(error?.message.contains("0.0.0.0:0 and not [::]:0") == true)
                // It has given back what it took.
                try TCPServer(host: "0.0.0.0", port: 0).bind()
            }
        }
    }

    @Test func insideALoopItIsRefused() async throws {
        let error = await #expect(throws: LoopError.self) {
            try await onFreshThread {
                try IOLoop.run { _ in try Prefork.run(processes: 1) { _ in } }
            }
        }
        #expect(error?.code == .alreadyRunning)
    }

    @Test func aSupervisorThatIsStoppedAtOnceStartsNobodyAndLivesUntilItsLoopIsClosed() async {
        await #expect(processExitsWith: .success) {
            var livedOn: Bool?
            try Prefork.run(
                processes: 1,
                supervisor: { supervisor in
                    weak let own = supervisor
                    supervisor.onStart = { _ in preconditionFailure("a worker was started") }
                    let loop = supervisor.loop
                    loop.spawn {
                        // Far off: the end of the loop breaks it off.
                        try? await loop.sleep(for: .seconds(86_400))
                        livedOn = own != nil
                    }
                    supervisor.stop()
                }
            ) { _ in }
            precondition(livedOn == true)
        }
    }

    @Test func outsideWorkersThereIsNoTaskId() {
        #expect(Prefork.taskID == nil && Prefork.workerCount == nil)
    }

    @Test func theWorkersOfAPathHaveCopiesOfOneSocketWhoseFileGoesWithTheLastOfThem() throws {
        let folder = SocketFolder()
        let address = SocketAddress(unixPath: folder("a"))
        let listeners = try PreforkListeners(
            [.unix(folder("a"), mode: 0o660)], workers: 2, loops: 3)
        #expect(listeners.addresses == [address])
        let sockets = listeners.sockets(of: 0) + listeners.sockets(of: 1)
        #expect(Set(sockets).count == 6)
        for socket in sockets { #expect(try Listener.address(of: socket) == address) }
        #expect(fileMode(folder("a")) == S_IFSOCK | 0o660)
        listeners.close(1)
        #expect(fileMode(folder("a")) != nil)
        listeners.close(0)
        #expect(fileMode(folder("a")) == nil)
        listeners.close(0)
    }

    @Test func aFileIsRemovedWithoutAnyWorkerAndWhenAnotherAddressFails() throws {
        let folder = SocketFolder()
        do {
            let listeners = try PreforkListeners([.unix(folder("a"))], workers: 1, loops: 1)
            #expect(fileMode(folder("a")) != nil)
            _ = listeners
        }
        #expect(fileMode(folder("a")) == nil)
        let twice = #expect(throws: PreforkError.self) {
            try PreforkListeners(
                [.unix(folder("a")), .unix(folder("a"))], workers: 1, loops: 1)
        }
        #expect(twice?.message == "the address \(folder("a")) is listed twice.")
        #expect(fileMode(folder("a")) == nil)
    }

    @Test func theWorkersOfAnAddressShareAPortThatTheSystemPicked() throws {
        let listeners = try PreforkListeners([.tcp(port: 0)], workers: 2, loops: 3)
        let sockets = listeners.sockets(of: 0) + listeners.sockets(of: 1)
        #expect(Set(sockets).count == 6 && listeners.addresses.first?.port != 0)
        for socket in sockets {
            #expect(try Listener.address(of: socket) == listeners.addresses.first)
        }
    }
}
