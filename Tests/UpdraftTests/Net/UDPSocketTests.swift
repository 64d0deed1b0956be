import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

@Suite struct UDPSocketTests {
    @Test func aDatagramArrivesWholeWithItsSender() async throws {
        try await withLoop { _ in
            let near = try UDPSocket()
            let far = try UDPSocket()
            try await near.send("ping".bytes, to: far.localAddress)
            let datagram = try await far.receive()
            #expect(datagram.bytes == "ping".bytes)
            #expect(datagram.sender == near.localAddress)
            #expect(!datagram.isTruncated)
            try await far.send([], to: datagram.sender)
            #expect(try await near.receive().bytes == [])
            near.close()
            far.close()
        }
    }

    @Test func aReceiverWaitsAndTheLoopKeepsTurning() async throws {
        try await withLoop { loop in
            let near = try UDPSocket(host: "127.0.0.1")
            let far = try UDPSocket()
            let waiting = loop.async { try await far.receive().bytes }
            try await loop.turns(5)
            #expect(!waiting.isDone)
            try near.enqueue("late".bytes, to: far.localAddress)
            #expect(try await waiting.value == "late".bytes)
        }
    }

    @Test func whatIsLongerThanExpectedIsCutAndMarked() async throws {
        try await withLoop { _ in
            var options = UDPSocket.Options()
            options.receiveMax = 4
            let far = try UDPSocket(options: options)
            let near = try UDPSocket()
            try await near.send("abcdef".bytes, to: far.localAddress)
            try await near.send("abcd".bytes, to: far.localAddress)
            let cut = try await far.receive()
            #expect(cut.bytes == "abcd".bytes)
            #expect(cut.isTruncated)
            #expect(try await !far.receive().isTruncated)
        }
    }

    @Test func aBatchHoldsWhatIsThereInOrderAndKeepsTheRest() async throws {
        try await withLoop { _ in
            var options = UDPSocket.Options()
            options.receiveMax = 1_024
            let far = try UDPSocket(options: options)
            let near = try UDPSocket()
            for number in 0..<50 {
                try await near.send([UInt8(number)], to: far.localAddress)
            }
            let first = try await far.receiveBatch(upTo: 10)
            #expect(first.map(\.bytes) == (0..<10).map { [UInt8($0)] })
            let rest = try await far.receiveBatch(upTo: 100)
            #expect(rest.map(\.bytes) == (10..<50).map { [UInt8($0)] })
        }
    }

    @Test func datagramsEndWhenTheSocketIsClosed() async throws {
        try await withLoop { loop in
            let far = try UDPSocket()
            let near = try UDPSocket()
            let got = loop.async {
                var got: [[UInt8]] = []
                for try await datagram in far.datagrams { got.append(datagram.bytes) }
                return got
            }
            try await near.send([1], to: far.localAddress)
            try await near.send([2], to: far.localAddress)
            try await loop.turns(10)
            far.close()
            far.close()
            #expect(try await got.value == [[1], [2]])
            #expect(far.isClosed)
            #expect(await streamFailure { try await far.receive() } == .closed)
            #expect(
                await streamFailure { try await far.send([1], to: near.localAddress) } == .closed)
        }
    }

    @Test func aConnectedSocketHearsItsPeerAloneAndIsToldWhenNobodyListens() async throws {
        try await withLoop { _ in
            let near = try UDPSocket()
            let stranger = try UDPSocket()
            let peer = try UDPSocket()
            try near.connect(to: peer.localAddress)
            try await stranger.send([9], to: near.localAddress)
            try await peer.send([1], to: near.localAddress)
            #expect(try await near.receive().bytes == [1])
            peer.close()
            try await near.send([2])
            let error = await failure { try await near.receive() } as? SystemError
            #expect(error?.errno == 111)
            #expect(!near.isClosed)
        }
    }

    @Test func aSenderLeavesTheOthersTheirTurns() async throws {
        try await withLoop { loop in
            let (near, far) = (try UDPSocket(), try UDPSocket())
            loop.limits.streamBytesMax = 16_384
            let start = loop.turnNumber
            for _ in 0..<200 { try await near.send([1], to: far.localAddress) }
            #expect(loop.turnNumber - start >= 5)
            // One that never ends can be ended.
            let flood = loop.async {
                while true { try await near.send([1], to: far.localAddress) }
            }
            try await loop.turns(3)
            flood.cancel()
            #expect(await failure { try await flood.value } is CancellationError)
        }
    }

    @Test func aSenderThatNeverEndsHearsWhatComes() async throws {
        try await withLoop { loop in
            let (near, far) = (try UDPSocket(), try UDPSocket())
            loop.limits.streamBytesMax = 16_384
            let flood = loop.async {
                while true { try await near.send([1], to: far.localAddress) }
            }
            let hearing = loop.async { try await near.receive().bytes }
            try await loop.turns(3)
            try far.enqueue("enough".bytes, to: near.localAddress)
            #expect(
                try await withTimeout(.seconds(5)) { try await hearing.value } == "enough".bytes)
            flood.cancel()
            _ = await failure { try await flood.value }
        }
    }

    /// Some is in the socket's own hands at that time, the rest in the kernel's.
    @Test func whatStrangersSentBeforeItWasConnectedIsDropped() async throws {
        try await withLoop { _ in
            var options = UDPSocket.Options()
            options.receiveMax = 32_768
            let near = try UDPSocket(options: options)
            let stranger = try UDPSocket()
            let peer = try UDPSocket()
            for number: UInt8 in 1...6 {
                try await (number.isMultiple(of: 2) ? peer : stranger).send(
                    [number], to: near.localAddress)
            }
            #expect(try await near.receive().bytes == [1])
            try near.connect(to: peer.localAddress)
            for number: UInt8 in [2, 4, 6] {
                #expect(try await near.receive().bytes == [number])
            }
        }
    }

    /// Whatever name the peer was given.
    @Test(arguments: ["0.0.0.0", "127.0.0.1", "::", "::1"])
    func aConnectedSocketHearsItsPeer(host: String) async throws {
        try await withLoop { _ in
            let local = host.contains(":") ? "::1" : "127.0.0.1"
            let near = try UDPSocket(host: local)
            let peer = try UDPSocket(host: local)
            try near.connect(to: SocketAddress(host: host, port: peer.port))
            try await near.send([1])
            let question = try await peer.receive()
            #expect(question.sender == near.localAddress)
            try await peer.send([2], to: question.sender)
            #expect(try await near.receive().bytes == [2])
        }
    }

    @Test func broadcastsAndTheKernelsBufferAreSetWhereTheyAreAskedFor() async throws {
        try await withLoop { _ in
            func option(_ socket: UDPSocket, _ name: Int32) -> Int32 {
                var value: Int32 = -1
                var size = socklen_t(MemoryLayout<Int32>.size)
                getsockopt(socket.descriptor, SOL_SOCKET, name, &value, &size)
                return value
            }
            var options = UDPSocket.Options()
            let usual = try UDPSocket(options: options)
            options.broadcast = true
            options.kernelReceiveBuffer = 8_192
            let set = try UDPSocket(options: options)
            #expect(option(usual, SO_BROADCAST) == 0)
            #expect(option(set, SO_BROADCAST) == 1)
            // The kernel counts its own part too.
            #expect(option(set, SO_RCVBUF) == 16_384)
            #expect(option(usual, SO_RCVBUF) > 16_384)
        }
    }

    @Test func aDatagramThatIsTooLongIsAClearError() async throws {
        try await withLoop { _ in
            let near = try UDPSocket()
            let far = try UDPSocket()
            let bytes = [UInt8](repeating: 0, count: 70_000)
            let error = await failure { try await near.send(bytes, to: far.localAddress) }
            #expect("\(error as Any)".contains("70000 bytes"))
            #expect(await failure { try await near.send([1]) } is SystemError)
        }
    }

    @Test func aSecondReceiverIsRefusedAndACancelledOneLeavesTheSocketUsable() async throws {
        try await withLoop { loop in
            let near = try UDPSocket()
            let far = try UDPSocket()
            let waiting = loop.async { _ = try await far.receive() }
            try await loop.turns(3)
            #expect(await streamFailure { try await far.receive() } == .readPending)
            waiting.cancel()
            #expect(await failure { try await waiting.value } is CancellationError)
            try await near.send([1], to: far.localAddress)
            #expect(try await far.receive().bytes == [1])
        }
    }

    @Test func aSecondReceiverIsRefusedWhileTheFirstWaitsForItsShareOfTheNextTurn() async throws {
        try await withLoop { loop in
            let near = try UDPSocket()
            let far = try UDPSocket()
            loop.limits.streamBytesMax = 1
            var got = 0
            for _ in 0..<20 { try await near.send([1], to: far.localAddress) }
            let receiving = loop.async {
                while true {
                    _ = try await far.receive()
                    got += 1
                }
            }
            try await loop.turns(until: { got > 0 })
            while got < 20 {
                #expect(await streamFailure { try await far.receive() } == .readPending)
                try await loop.nextTurn()
            }
            // There is nothing left, and still one place.
            try await loop.turns(3)
            #expect(await streamFailure { try await far.receive() } == .readPending)
            receiving.cancel()
            #expect(await failure { try await receiving.value } is CancellationError)
        }
    }

    @Test func closingAnswersAReceiverThatWaitsForItsShareOfTheNextTurn() async throws {
        try await withLoop { loop in
            let near = try UDPSocket()
            let far = try UDPSocket()
            loop.limits.streamBytesMax = 1
            for _ in 0..<20 { try await near.send([1], to: far.localAddress) }
            var got = 0
            let receiving = loop.async {
                while true {
                    _ = try await far.receive()
                    got += 1
                }
            }
            try await loop.turns(until: { got > 0 })
            far.close()
            #expect(await streamFailure { try await receiving.value } == .closed)
            #expect(got < 20)
        }
    }

    @Test func aFloodLeavesTheOthersTheirTurns() async throws {
        try await withLoop { loop in
            let far = try UDPSocket()
            let near = try UDPSocket()
            loop.limits.streamBytesMax = 16_384
            let reader = loop.async {
                for _ in 0..<100 { _ = try await far.receive() }
            }
            for _ in 0..<100 { try near.enqueue([1], to: far.localAddress) }
            let start = loop.turnNumber
            try await reader.value
            let turnsSeen = Int(loop.turnNumber - start)
            #expect(turnsSeen >= 5)
        }
    }

    @Test func aSenderWaitsBehindAFullQueueWhichLeavesInOrder() async throws {
        try await withLoop { loop in
            var options = UDPSocket.Options()
            options.sendQueueMax = 200
            let near = try UDPSocket(options: options)
            let far = try UDPSocket()
            try await loop.turns(2)
            // As after a send that found no room.
            near.readiness.subtract(.write)
            for number in 0..<3 { try near.enqueue([UInt8(number)], to: far.localAddress) }
            try near.enqueue([3], to: far.localAddress)
            let code = await streamFailure { try near.enqueue([9], to: far.localAddress) }
            #expect(code == .bufferFull)
            let waiting = loop.async { try await near.send([4], to: far.localAddress) }
            try await loop.turns(3)
            #expect(!waiting.isDone)
            near.ready(.write)
            try await waiting.value
            let got = try await far.receiveBatch(upTo: 10)
            #expect(got.map(\.bytes) == (0..<5).map { [UInt8($0)] })
        }
    }

    @Test func aTakenPortIsAClearErrorAndSharingIsAChoice() async throws {
        try await withLoop { _ in
            let first = try UDPSocket()
            let port = first.port
            let error = await failure { try UDPSocket(port: port) }
            #expect((error as? StreamError)?.code == .cannotListen)
            #expect("\(error as Any)".contains("\(port)"))
            #expect(await streamFailure { try UDPSocket(host: "localhost") } == .cannotListen)
            var shared = UDPSocket.Options()
            shared.reusePort = true
            let one = try UDPSocket(options: shared)
            let other = try UDPSocket(port: one.port, options: shared)
            #expect(other.port == one.port)
        }
    }

    @Test func socketsLeaveNoDescriptorBehind() async throws {
        let before = openDescriptors()
        try await withLoop { _ in
            for _ in 0..<20 { _ = try UDPSocket() }
            try UDPSocket().close()
        }
        // The loop's own may be there a moment longer; a leak of one in each socket would be 21.
        #expect(openDescriptors() < before + 15)
    }
}
