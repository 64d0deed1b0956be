// The code of docs/servers.md.

import Updraft

func listenOnSeveralAddresses() throws {
    try IOLoop.run { loop in
        let server = TCPServer(listeningOn: [
            .allInterfaces(port: 7000), .tcp(port: 7001), .unix("/run/game.sock", mode: 0o660),
        ])
        try server.bind()
        for address in server.localAddresses { StandardOutput.announce("listening on \(address)") }
        try await server.serve(until: .terminationSignals) { stream in
            for try await chunk in stream.chunks { try await stream.write(chunk) }
        }
    }
}

func addAnAddress(to server: TCPServer) throws {
    let addresses = try server.bind(to: .tcp(port: 0))  // served at once if the server serves
    print("also on \(addresses[0])")
}

func shareSockets() throws {
    let sockets = try ListeningSocket.bind(host: nil, port: 7000)
    try IOLoop.run(loops: 2) { loop in
        let server = TCPServer(listeningOn: [])
        try server.addSockets(sockets)
        try await server.serve(until: .terminationSignals) { stream in
            try await stream.write("served by \(loop.name)\n")
        }
    }
}

nonisolated(nonsending) func connectToUnixSockets() async throws {
    let file = try await TCPClient.connect(to: SocketAddress(unixPath: "/run/game.sock"))
    let name = try await TCPClient.connect(to: SocketAddress(abstractName: "game"))
    file.close()
    name.close()
}

func limitedServer() -> TCPServer {
    var options = TCPServer.Options()
    options.connectionsMax = 5_000
    options.whenFull = .refuse
    options.idleTimeout = .seconds(60)
    options.totalTimeout = .seconds(3_600)
    options.socket.keepAlive = SocketOptions.KeepAlive(idle: .seconds(30))
    options.socket.userTimeout = .seconds(20)
    return TCPServer(port: 7000, options: options)
}

/// Stands in for what a program keeps of its players.
final class Players {
    var count = 0
    nonisolated(nonsending) func load() async throws {}
    nonisolated(nonsending) func save() async throws {}
}

nonisolated(nonsending) func serveWithHooks(_ server: TCPServer, _ players: Players) async throws {
    server.onStart = { try await players.load() }
    server.onConnect = { _ in players.count += 1 }
    server.onClose = { stream, error in
        players.count -= 1
        let peer = stream.peerAddress.map { "\($0)" } ?? "somebody"
        if let error { print("\(peer) has left: \(error)") }
    }
    server.onStop = { try await players.save() }
    try await server.serve(until: .terminationSignals) { stream in
        for try await line in stream.lines { try await stream.write(line + [10]) }
    }
}
