import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Which sockets from elsewhere are taken: contract rows J12 and K4.
@Suite struct AdoptedSocketTests {
    private static let kinds = [SOCK_DGRAM, SOCK_SEQPACKET].map { Int32($0.rawValue) }

    @Test(arguments: kinds)
    func aConnectedSocketOfMessagesIsNoStream_J12(kind: Int32) async throws {
        try await withLoop { loop in
            var ends: [Int32] = [-1, -1]
            #expect(socketpair(AF_UNIX, kind, 0, &ends) == 0)
            let error = await failure { try IOStream(socket: ends[0], loop: loop) } as? SystemError
            #expect(error?.errno == EPROTOTYPE)
            #expect(error?.operation.contains("descriptor \(ends[0])") == true)
            #expect(fcntl(ends[0], F_GETFL) & O_NONBLOCK == 0)
            for end in ends { #expect(close(end) == 0) }
            #expect(loop.metrics.streamsOpen == 0)
        }
    }

    @Test func aConnectedUDPSocketIsNoStream_J12() async throws {
        try await withLoop { loop in
            let peer = try UDPSocket()
            defer { peer.close() }
            let near = try UDPSocket()
            try near.connect(to: peer.localAddress)
            let copy = dup(near.descriptor)
            let error = await failure { try IOStream(socket: copy, loop: loop) } as? SystemError
            #expect(error?.errno == EPROTOTYPE)
            #expect(close(copy) == 0)
            near.close()
        }
    }

    @Test func aSocketOfMessagesThatListensIsNotServed_K4() async throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0)
        defer { close(descriptor) }
        // Without a path the system picks an abstract name.
        var address = sockaddr()
        address.sa_family = sa_family_t(AF_UNIX)
        let size = socklen_t(MemoryLayout<sa_family_t>.size)
        #expect(bind(descriptor, &address, size) == 0)
        #expect(listen(descriptor, 1) == 0)
        let error = await streamError { try ListeningSocket(adopting: descriptor) }
        #expect(error?.code == .cannotListen)
        #expect(error?.message.contains("stream socket") == true)
        #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC == 0)
    }
}
