import Updraft

// The code of docs/back-pressure.md and docs/closing.md.

func feed(_ updates: Queue<[UInt8]>, to stream: IOStream) async throws {
    for try await update in updates { try await stream.write(update) }
}

func sendOrGiveUp(_ page: [UInt8], to stream: IOStream) async throws {
    do {
        try await withTimeout(.seconds(10)) {
            try await stream.write(page)
            try await stream.flush()
        }
    } catch is TimeoutError {
        stream.abort()  // what is unsent is dropped; see closing.md
    }
}

final class LagCounter {
    var pending = 0
    var lastError: StreamError?
}

func send(_ update: [UInt8], to player: IOStream, lag: LagCounter) throws {
    lag.pending += 1
    try player.enqueue(update) { result in
        lag.pending -= 1
        if case .failure(let error) = result { lag.lastError = error }
    }
}

func tell(_ players: [IOStream], _ update: [UInt8]) {
    for player in players where !player.isClosed {
        if player.unsentBytes > 1_048_576 {
            player.abort()
        } else {
            try? player.enqueue(update)
        }
    }
}

func carefulServer() -> TCPServer {
    let server = TCPServer(port: 7000, options: careful())
    return server
}

func careful() -> TCPServer.Options {
    var options = TCPServer.Options()
    options.connectionsMax = 20_000
    options.stream.readBufferMax = 1_048_576
    options.stream.highWaterMark = 65_536
    options.stream.lowWaterMark = 16_384
    return options
}

func relay(_ socket: UDPSocket, to players: [SocketAddress]) async throws {
    while true {
        let batch = try await socket.receiveBatch(upTo: 64)
        var rest = batch.filter { !$0.isTruncated }.flatMap { datagram in
            players.map { OutgoingDatagram(datagram.bytes, to: $0) }
        }[...]
        while !rest.isEmpty {
            do {
                rest = rest.dropFirst(try await socket.sendBatch(Array(rest)))
            } catch is SystemError {
                rest.removeFirst()  // there is no way to this player; the others get theirs
            }
        }
    }
}

func countBytes(_ stream: IOStream) async throws {
    let question = try await stream.readToEnd()  // the peer has called endWriting
    try await stream.write("\(question.count) bytes\n")
    stream.endWriting()
}

func watch(_ player: IOStream, leave: @escaping () -> Void) {
    player.onClose {
        if let error = player.closeReason?.cause as? SystemError, error.isDisconnect { leave() }
    }
}

func hand(_ stream: IOStream, over take: (Int32, [UInt8]) -> Void) async throws {
    let command = try await stream.read(until: "\n")
    precondition(command.starts(with: "RAW".utf8))
    let detached = try stream.detach()
    let early = detached.unreadBytes  // received behind the command already
    take(detached.release(), early)
}

func upperCase(on loop: IOLoop) async throws {
    let input = try IOStream.standardInput(on: loop)
    let output = try IOStream.standardOutput(on: loop)
    for try await line in input.lines(keepingEnds: true) {
        try await output.write(line.map { (97...122).contains($0) ? $0 - 32 : $0 })
    }
    try await output.flush()
}
