import Glibc
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
