import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// What servers, clients, sockets and resolvers are without a word about them, as their
/// documentation says. The bounds of a stream are in `StreamDefaultsTests`.
@Suite struct OptionDefaultsTests {
    @Test func aServersOptions_K1() {
        let options = TCPServer.Options()
        #expect(options.backlog == 4_096)
        #expect(!options.reusePort)
        #expect(options.connectionsMax == 100_000)
        #expect(options.whenFull == .wait)
        #expect(options.exhaustionPause == .milliseconds(100))
        #expect(options.idleTimeout == nil)
        #expect(options.totalTimeout == nil)
        #expect(options.proxyProtocol == nil)
        #expect(options.socket == SocketOptions())
    }

    @Test func aClientsOptions_K10() {
        let options = TCPClient.Options()
        #expect(options.attemptTimeout == .seconds(10))
        #expect(options.familyPause == .milliseconds(300))
        #expect(options.family == .any)
        #expect(options.source == nil)
        #expect(options.socket == SocketOptions())
    }

    @Test func whatTheKernelIsTold_J20() {
        let options = SocketOptions()
        #expect(options.noDelay)
        #expect(options.keepAlive == nil)
        #expect(options.userTimeout == nil)
        let probes = SocketOptions.KeepAlive()
        #expect(probes.idle == .seconds(60))
        #expect(probes.interval == .seconds(10))
        #expect(probes.count == 6)
    }

    @Test func aDatagramSocketsOptions() {
        let options = UDPSocket.Options()
        #expect(options.receiveMax == 65_536)
        #expect(options.sendQueueMax == 262_144)
        #expect(options.kernelReceiveBuffer == nil)
        #expect(!options.reusePort)
        #expect(!options.broadcast)
    }

    @Test func aResolversOptions() {
        let options = SystemResolver.Options()
        #expect(options.cacheTime == .seconds(5))
        #expect(options.cacheMax == 256)
    }

    @Test func aTurnAcceptsAHundredAndTwentyEightAtTheMost_K8() async throws {
        try await withLoop { loop in
            #expect(loop.limits.acceptsMax == 128)
        }
    }

    /// The kernel's own limit may be lower.
    @Test func theKernelIsAskedForABacklogOf4096_K3_K7() async throws {
        try await withLoop { _ in
            let most = try #require(somaxconn())
            let server = TCPServer(port: 0)
            try server.bind()
            let small = TCPServer(port: 0, options: serverOptions { $0.backlog = 7 })
            try small.bind()
            let bound = try ListeningSocket.bind(host: "127.0.0.1", port: 0)[0]
            let named = try ListeningSocket.bind(to: .tcp(port: 0))[0]
            for socket in [server.listeners[0].socket, bound, named] {
                #expect(backlog(of: socket.descriptor) == min(4_096, most))
            }
            #expect(backlog(of: small.listeners[0].socket.descriptor) == 7)
            server.stop()
            small.stop()
            bound.close()
            named.close()
        }
    }

    /// Of `struct tcp_info`: `tcpi_sacked`, which says that of a socket that listens.
    private func backlog(of descriptor: Int32) -> Int {
        var info = [UInt8](repeating: 0, count: 104)
        var length = socklen_t(info.count)
        let result = getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &info, &length)
        precondition(result == 0)
        return info.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: 28, as: UInt32.self)) }
    }

    private func somaxconn() -> Int? {
        guard let file = fopen("/proc/sys/net/core/somaxconn", "r") else { return nil }
        defer { fclose(file) }
        var text = [CChar](repeating: 0, count: 16)
        return fgets(&text, Int32(text.count), file).map { Int(atoi($0)) }
    }
}
