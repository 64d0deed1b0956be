import Testing
import Updraft
import UpdraftRPC
import UpdraftTesting

/// RPC behind a proxy.
@Suite struct ProxyProtocolTests {
    @Test func aPeersAddressIsTheClients() async throws {
        try await withLoop { loop in
            var options = TCPServer.Options()
            options.proxyProtocol = ProxyProtocol(peers: [try AddressRange("127.0.0.1")])
            let server = RPCServer(port: 0, listener: options)
            server.register("who") { (peer: RPCPeer) in peer.address?.description ?? "nobody" }
            try server.listen()
            let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
            defer { stream.close() }
            // A call in the packet of the header, and its answer.
            let call: [UInt8] = [0x94, 0x00, 0x01, 0xA3] + "who".utf8 + [0x90]
            try await stream.write(
                Array("PROXY TCP4 198.51.100.7 192.0.2.1 50000 443\r\n".utf8) + call)
            let answer = try await stream.read(exactly: 4 + 1 + 18)
            #expect(answer == [0x94, 0x01, 0x01, 0xC0, 0xB2] + "198.51.100.7:50000".utf8)
            server.stop()
        }
    }
}
