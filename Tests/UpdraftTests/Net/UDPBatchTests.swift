import CUpdraft
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

@Suite struct UDPBatchTests {
    private func datagrams(_ count: Int, to socket: UDPSocket) -> [OutgoingDatagram] {
        (0..<count).map {
            OutgoingDatagram([UInt8(truncatingIfNeeded: $0)], to: socket.localAddress)
        }
    }

    private func small() throws -> UDPSocket {
        var options = UDPSocket.Options()
        options.receiveMax = 1_024
        return try UDPSocket(options: options)
    }

    @Test func oneSystemCallSendsAndReceivesThirtyTwo() async throws {
        try await withLoop { loop in
            let (near, far) = (try small(), try small())
            let size = Int(CU_DATAGRAMS_MAX)
            #expect(size == 32)
            let address = try #require(far.localAddress.system)
            var list = (0..<size + 8).map { _ in
                cu_datagram(address: address, length: 2, is_truncated: false)
            }
            let bytes = (0..<size * 2).map { UInt8($0) }
            #expect(cu_send_datagrams(near.descriptor, bytes, list, Int32(list.count)) == 32)
            var room = [UInt8](repeating: 0, count: 1_024 * list.count)
            let count = cu_receive_datagrams(
                far.descriptor, &room, 1_024, &list, Int32(list.count))
            #expect(count == 32)
            for index in 0..<size {
                #expect(list[index].length == 2)
                #expect(
                    Array(room[index * 1_024..<index * 1_024 + 2]) == [
                        UInt8(index * 2), UInt8(index * 2 + 1),
                    ])
            }
            // Drained: the next call says so.
            #expect(cu_receive_datagrams(far.descriptor, &room, 1_024, &list, 1) == -cu_eagain)
        }
    }

    @Test func aBatchArrivesInOrder() async throws {
        try await withLoop { _ in
            let (near, far) = (try small(), try small())
            let count = try await near.sendBatch(datagrams(100, to: far))
            #expect(count == 100)
            let got = try await far.receiveBatch(upTo: 200)
            #expect(got.map(\.bytes) == (0..<100).map { [UInt8($0)] })
            #expect(got.allSatisfy { $0.sender == near.localAddress && !$0.isTruncated })
            let none = try await near.sendBatch([])
            #expect(none == 0)
        }
    }

    @Test func sizesMayDifferAndLongOnesAreCutAtTheReceiver() async throws {
        try await withLoop { _ in
            let (near, far) = (try small(), try small())
            let sizes = [0, 1, 1_024, 1_025, 30_000, 40_000, 7]
            let batch = sizes.map {
                OutgoingDatagram([UInt8](repeating: 7, count: $0), to: far.localAddress)
            }
            let count = try await near.sendBatch(batch)
            #expect(count == sizes.count)
            let got = try await far.receiveBatch(upTo: sizes.count)
            #expect(got.map(\.bytes.count) == sizes.map { min($0, 1_024) })
            #expect(got.map(\.isTruncated) == sizes.map { $0 > 1_024 })
        }
    }

    @Test func aDatagramThatCannotBeSentEndsTheBatchBeforeIt() async throws {
        try await withLoop { _ in
            let (near, far) = (try small(), try small())
            let tooLong = OutgoingDatagram(
                [UInt8](repeating: 0, count: 70_000), to: far.localAddress)
            let ones = datagrams(3, to: far)
            let count = try await near.sendBatch(ones + [tooLong] + ones)
            #expect(count == 3)
            let error = await failure { try await near.sendBatch([tooLong] + ones) }
            #expect("\(error as Any)".contains("70000 bytes"))
            let path = OutgoingDatagram([1], to: SocketAddress(unixPath: "/nowhere"))
            #expect(await failure { try await near.sendBatch([path]) } is SystemError)
            // Longer than IPv4 carries, though it has room in the memory: the system's own word.
            let long = OutgoingDatagram(
                [UInt8](repeating: 0, count: 65_530), to: far.localAddress)
            let refused = try await near.sendBatch(ones + [long])
            #expect(refused == 3)
            #expect(await failure { try await near.sendBatch([long]) } is SystemError)
            let got = try await far.receiveBatch(upTo: 20)
            #expect(got.count == 6)
        }
    }

    @Test func aConnectedSocketNeedsNoAddressAndIsToldThatNobodyListens() async throws {
        try await withLoop { _ in
            let (near, peer) = (try small(), try small())
            try near.connect(to: peer.localAddress)
            let count = try await near.sendBatch([OutgoingDatagram([1]), OutgoingDatagram([2])])
            #expect(count == 2)
            let got = try await peer.receiveBatch(upTo: 5)
            #expect(got.map(\.bytes) == [[1], [2]])
            peer.close()
            try await near.send([3])
            let error = await failure { try await near.sendBatch([OutgoingDatagram([4])]) }
            #expect((error as? SystemError)?.errno == 111)
        }
    }

    @Test func aBatchWaitsBehindAFullQueueWhichLeavesInOrder() async throws {
        try await withLoop { loop in
            var options = UDPSocket.Options()
            options.sendQueueMax = 200
            let near = try UDPSocket(options: options)
            let far = try small()
            try await loop.turns(2)
            // As after a send that found no room.
            near.readiness.subtract(.write)
            let batch = datagrams(10, to: far)
            let waiting = loop.async { try await near.sendBatch(batch) }
            try await loop.turns(3)
            #expect(!waiting.isDone)
            #expect(near.unsentBytes == 260)
            near.ready(.write)
            #expect(try await waiting.value == 10)
            #expect(near.unsentBytes == 0)
            let got = try await far.receiveBatch(upTo: 20)
            #expect(got.map(\.bytes) == batch.map(\.bytes))
        }
    }

    @Test func aWaitThatIsGivenUpTellsWhatWasAccepted() async throws {
        try await withLoop { loop in
            var options = UDPSocket.Options()
            options.sendQueueMax = 200
            let near = try UDPSocket(options: options)
            let batch = datagrams(10, to: try small())
            try await loop.turns(2)
            near.readiness.subtract(.write)
            let cut = loop.async { try await near.sendBatch(batch) }
            try await loop.turns(3)
            cut.cancel()
            #expect(try await cut.value == 4)
            let late = loop.async { try await near.sendBatch(batch) }
            try await loop.turns(3)
            late.cancel()
            #expect(await failure { try await late.value } is CancellationError)
            let closed = loop.async { try await near.sendBatch(batch) }
            try await loop.turns(3)
            near.close()
            #expect(await streamFailure { try await closed.value } == .closed)
        }
    }

    @Test func aLongBatchLeavesTheOthersTheirTurns() async throws {
        try await withLoop { loop in
            let (near, far) = (try small(), try small())
            loop.limits.streamBytesMax = 16_384
            let start = loop.turnNumber
            let count = try await near.sendBatch(datagrams(200, to: far))
            #expect(count == 200)
            let turnsSeen = Int(loop.turnNumber - start)
            #expect(turnsSeen >= 5)
        }
    }
    @Test func aFullQueueLooksAtNoMoreOfABatchThanItTakes() async throws {
        try await withLoop { loop in
            var options = UDPSocket.Options()
            options.sendQueueMax = 200
            let near = try UDPSocket(options: options)
            let batch = datagrams(1_000, to: try small())
            var seen = 0
            let count = try near.queueSome(
                of: batch.lazy.map { datagram in
                    seen += 1
                    return datagram
                })
            #expect(count == 4)
            #expect(seen == 5)
        }
    }

    @Test func aDatagramThatCanNeverBeSentIsNotQueued() async throws {
        try await withLoop { loop in
            let (near, far) = (try small(), try small())
            try await loop.turns(2)
            // As after a send that found no room.
            near.readiness.subtract(.write)
            let ones = datagrams(3, to: far)
            let bad = [
                OutgoingDatagram([1], to: SocketAddress(unixPath: "/nowhere")),
                OutgoingDatagram([1], to: try SocketAddress(host: "::1", port: far.port)),
                OutgoingDatagram([1], to: try SocketAddress(host: "127.0.0.1", port: 0)),
                OutgoingDatagram([1]),
                OutgoingDatagram([UInt8](repeating: 0, count: 65_508), to: far.localAddress),
            ]
            for datagram in bad {
                let count = try near.queueSome(of: ones + [datagram] + ones)
                #expect(count == 3)
                let batch = await failure { try await near.sendBatch([datagram] + ones) }
                #expect(batch is SystemError, "\(datagram.address as Any)")
                let one = await failure { try near.enqueue(datagram.bytes, to: datagram.address) }
                #expect(one is SystemError, "\(datagram.address as Any)")
            }
            // The longest of all is none of them.
            try near.enqueue([UInt8](repeating: 7, count: 65_507), to: far.localAddress)
            near.ready(.write)
            let got = try await far.receiveBatch(upTo: 40)
            #expect(got.count == 3 * bad.count + 1)
        }
    }

    @Test func aQueuedDatagramIsNotLostForOneThatNobodyTook() async throws {
        try await withLoop { loop in
            let (near, peer) = (try small(), try small())
            try near.connect(to: peer.localAddress)
            try await loop.turns(2)
            peer.close()
            try near.enqueue([1])
            // Somebody listens there again, but the refusal of the first waits to be told.
            let later = try UDPSocket(port: peer.port)
            near.readiness.subtract(.write)
            for number in 2...4 as ClosedRange<UInt8> { try near.enqueue([number]) }
            near.ready(.write)
            #expect(near.unsentBytes == 0)
            let got = try await later.receiveBatch(upTo: 9)
            #expect(got.map(\.bytes) == [[2], [3], [4]])
        }
    }
}
