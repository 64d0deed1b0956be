import Updraft

// The code of docs/proxy-protocol.md.

nonisolated(nonsending) func serveBehindAProxy() async throws {
    var options = TCPServer.Options()
    options.proxyProtocol = ProxyProtocol(peers: [
        try AddressRange("10.0.0.0/8"), try AddressRange("2001:db8::7"), .unix,
    ])
    let server = TCPServer(host: "0.0.0.0", port: 7000, options: options)
    try await server.serve { stream in
        // The client, and the proxy it came through, if it came through one.
        print(stream.peerAddress?.host ?? "?", stream.proxyAddress?.host ?? "directly")
        for try await chunk in stream.chunks { try await stream.write(chunk) }
    }
}

func askForTheName(_ stream: IOStream) -> String? {
    let name = stream.proxyHeader?.value(ProxyProtocol.Value.authority)
    return name.map { String(decoding: $0, as: UTF8.self) }
}
