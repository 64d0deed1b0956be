import Glibc
import Logging
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Contract rows B8, C1-C9, D9, I2, conformance list 3.1, 5-6, 10, 18-20, beyond `HandlerTests`.
@Suite struct HandlerContractTests {
    @Test func theBitsOfEventsAreThoseOfEpoll_C4() {
        #expect(IOEvents([]).rawValue == 0)
        #expect(IOEvents.read.rawValue == 0x001)
        #expect(IOEvents.write.rawValue == 0x004)
        #expect(IOEvents.error.rawValue == 0x018, "without the peer's half-close")
    }

    @Test(arguments: PollerKind.tested)
    func aHandlerForReadingNeverSeesWrite_3_1_10(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let pair = SocketPair()
            var seen: [IOEvents] = []
            try loop.addHandler(pair.near, events: .read) { _, events in
                seen.append(events)
                pair.receive()
            }
            try await loop.turns(5)
            #expect(seen.isEmpty, "it could be written to all the time")
            pair.send()
            try await loop.turns { !seen.isEmpty }
            try await loop.turns(3)
            #expect(seen == [.read])
            loop.removeHandler(pair.near)
        }
    }

    @Test func whatCannotBeUnwatchedIsADebugLineAndWhatIsUnknownIsNone_C3_3_1_6() async throws {
        let lines = LogLines()
        try await withLoop { loop in
            loop.logger = lines.logger
            let pair = SocketPair()
            let number = RareNumber(pair.near)
            loop.removeHandler(number.descriptor)
            loop.removeHandler(-1)
            loop.removeHandler(Int32.max)
            #expect(lines.all.isEmpty)
            try loop.addHandler(number.descriptor, events: .read) { _, _ in }
            let closed = number.closed()
            loop.removeHandler(closed)
            loop.removeHandler(closed)
            // `select` has nothing registered with the system that could be gone.
            #expect(lines.all.count == (PollerKind.chosen == .select ? 0 : 1))
            #expect(lines.all.allSatisfy { $0.hasPrefix("debug: ") && $0.contains("\(closed)") })
        }
    }

    @Test func errorsAreLoggedWithTheDescriptorUnlessThereIsAHook_B8_B9_D9() async throws {
        let lines = LogLines()
        try await withLoop { loop in
            loop.logger = lines.logger
            let pipe = SystemPipe()
            defer { withExtendedLifetime(pipe) {} }
            pipe.put()
            var calls = 0
            try loop.addHandler(pipe.readEnd, events: .read) { descriptor, _ in
                calls += 1
                if calls == 1 { throw SystemError(errno: EPIPE, operation: "write") }
                if calls == 3 { loop.removeHandler(descriptor) }
                throw Broken(number: calls)
            }
            try await loop.turns { calls == 3 }
            let place = "error: The handler of descriptor \(pipe.readEnd) threw: "
            #expect(
                lines.all == [place + "Broken(number: 2)", place + "Broken(number: 3)"])
            loop.addCallback { throw Broken(number: 4) }
            loop.spawn {
                try await loop.nextTurn()
                throw Broken(number: 5)
            }
            try await loop.turns(4)
            #expect(lines.with("A callback threw: Broken(number: 4)").count == 1)
            #expect(lines.with("A task threw: Broken(number: 5)").count == 1)
            var hooked = 0
            loop.onUnhandledError = { _, _ in hooked += 1 }
            loop.addCallback { throw Broken(number: 6) }
            try await loop.turns(2)
            #expect(hooked == 1 && lines.all.count == 4)
        }
    }

    @Test func theLibrarysLoggersHaveThreeLabels_I2() async throws {
        try await withLoop { loop in
            #expect(loop.logger.label == "updraft.application")
            #expect(loop.libraryLogger.label == "updraft.general")
            #expect(TCPServer(port: 0).logger.label == "updraft.general")
            #expect(LoggerLabel.access == "updraft.access")
        }
    }

    // MARK: Raw sockets: C6, C7

    @Test(arguments: PollerKind.tested)
    func anEchoServerOfHandlersServesUntilItsPeersClose_C6_C7(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let listener = try Listening()
            var echoes: [Int32: Echo] = [:]
            try loop.addHandler(listener.descriptor, events: .read) { descriptor, _ in
                while true {
                    let accepted = accept(descriptor, nil, nil)
                    guard accepted >= 0 else {
                        guard errno == EAGAIN else {
                            throw SystemError(errno: errno, operation: "accept")
                        }
                        break
                    }
                    // On Linux it is not inherited from the listener.
                    #expect(fcntl(accepted, F_GETFL) & O_NONBLOCK == 0)
                    _ = fcntl(accepted, F_SETFL, O_NONBLOCK)
                    echoes[accepted] = try Echo(accepted, loop) { echoes[accepted] = nil }
                }
            }
            var clients: [IOStream] = []
            for _ in 0..<5 {
                clients.append(try await TCPClient.connect(host: "127.0.0.1", port: listener.port))
            }
            for (index, client) in clients.enumerated() {
                let text = [UInt8](repeating: UInt8(index), count: 200_000)
                loop.spawn { try await client.write(text) }
                #expect(try await client.read(exactly: text.count) == text)
            }
            #expect(echoes.count == 5)
            for client in clients { client.close() }
            try await loop.turns { echoes.isEmpty }
            loop.removeHandler(listener.descriptor)
        }
    }

    // MARK: Objects: C9

    @Test func anObjectIsWatchedAndGivenBackInPlaceOfItsNumber_C9_3_1_19() async throws {
        try await withLoop { loop in
            let device = Device()
            var seen: [ObjectIdentifier] = []
            try loop.addHandler(device, events: .write) { object, events in
                seen.append(ObjectIdentifier(object))
                #expect(events == .read)
                object.pair.receive()
            }
            try loop.updateHandler(device, events: .read)
            device.pair.send()
            try await loop.turns { !seen.isEmpty }
            #expect(seen == [ObjectIdentifier(device)])
            loop.removeHandler(device)
            device.pair.send()
            try await loop.turns(3)
            #expect(seen.count == 1)
            let error = #expect(throws: LoopError.self) {
                try loop.updateHandler(device, events: .read)
            }
            #expect(error?.code == .noHandler)
            loop.removeHandler(device)
        }
    }

    @Test func anObjectAndItsNumberDoNotMix_C9_3_1_20() async throws {
        try await withLoop { loop in
            let device = Device()
            try loop.addHandler(device, events: .read) { _, _ in }
            let second = #expect(throws: LoopError.self) {
                try loop.addHandler(device.descriptor, events: .read) { _, _ in }
            }
            #expect(second?.code == .duplicateHandler)
            loop.removeHandler(device.descriptor)
            var calls = 0
            try loop.addHandler(device.descriptor, events: .read) { _, _ in
                calls += 1
                device.pair.receive()
            }
            let third = #expect(throws: LoopError.self) {
                try loop.addHandler(device, events: .read) { _, _ in }
            }
            #expect(third?.code == .duplicateHandler)
            // It is not the object's handler, so it stays.
            loop.removeHandler(device)
            device.pair.send()
            try await loop.turns { calls == 1 }
            loop.removeHandler(device.descriptor)
        }
    }

    @Test func anObjectThatWasClosedFirstCanStillBeRemoved_C9() async throws {
        try await withLoop { loop in
            weak var kept: Device?
            do {
                let device = Device()
                kept = device
                try loop.addHandler(device, events: .read) { _, _ in }
            }
            do {
                let device = try #require(kept, "the loop keeps it")
                let number = device.descriptor
                device.close()
                #expect(device.descriptor == -1)
                loop.removeHandler(device)
                #expect(!loop.dump().contains("descriptor \(number): a handler"))
            }
            try await loop.nextTurn()
            #expect(kept == nil)
        }
    }

    @Test func closingAllDescriptorsLeavesThoseOfTheLibraryToTheirOwners_3_1_18() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            _ = try loop.addSignalHandler(.sigusr2) {}
            let waker = loop.executor.waker.descriptor
            loop.close(allDescriptors: true)
            // Closed by the executor, when the last that knows it lets go of it.
            #expect(fcntl(waker, F_GETFD) >= 0)
            withExtendedLifetime(loop) {}
        }
    }

    @Test func closingTheLoopClosesTheObjectsOnRequest_3_1_18() async throws {
        try await onFreshThread {
            for isAsked in [true, false] {
                let loop = try IOLoop()
                let device = Device()
                let pipe = SystemPipe()
                let number = RareNumber(pipe.readEnd)
                let descriptor = number.descriptor
                try loop.addHandler(device, events: .read) { _, _ in }
                try loop.addHandler(descriptor, events: .read) { _, _ in }
                loop.close(allDescriptors: isAsked)
                #expect(device.closed == (isAsked ? 1 : 0))
                #expect((fcntl(descriptor, F_GETFD) < 0) == isAsked)
                _ = number.closed()
            }
        }
    }
}

/// One connection of an echo server made of handlers: what was read waits to be written.
private final class Echo {
    private let descriptor: Int32
    private unowned let loop: IOLoop
    private var unsent: [UInt8] = []
    private let onEnd: () -> Void

    init(_ descriptor: Int32, _ loop: IOLoop, onEnd: @escaping () -> Void) throws {
        self.descriptor = descriptor
        self.loop = loop
        self.onEnd = onEnd
        try loop.addHandler(descriptor, events: .read) { [unowned self] _, events in
            if events.contains(.read) {
                try readOnce()
            } else if events.contains(.write) {
                try writeOnce()
            } else {
                end()
            }
        }
    }

    private func readOnce() throws {
        var bytes = [UInt8](repeating: 0, count: 1_024)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return end() }
        unsent += bytes[..<count]
        try loop.updateHandler(descriptor, events: .write)
    }

    private func writeOnce() throws {
        let count = send(descriptor, unsent, unsent.count, Int32(MSG_NOSIGNAL))
        if count > 0 { unsent.removeFirst(count) }
        if unsent.isEmpty { try loop.updateHandler(descriptor, events: .read) }
    }

    private func end() {
        loop.removeHandler(descriptor)
        close(descriptor)
        onEnd()
    }
}

/// A listening socket of the system on a port of its choice.
private final class Listening {
    let descriptor: Int32
    let port: Int

    init() throws {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let new = socket(AF_INET, type, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                precondition(bind(new, address, size) == 0 && listen(new, 5) == 0)
                precondition(getsockname(new, address, &size) == 0)
            }
        }
        descriptor = new
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { close(descriptor) }
}

/// An object with a descriptor.
private final class Device: DescriptorOwner {
    let pair = SocketPair()
    private(set) var closed = 0

    var descriptor: Int32 { pair.near }

    func close() {
        closed += 1
        pair.closeNear()
    }
}
