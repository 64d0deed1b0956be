// Unsafe: the address of bytes that are being sent.

import Glibc
import Updraft

/// `read(until:)` over the same bytes in one piece and in small ones.
struct ReadBench {
    let count: Int
    /// One form alone, such as `memory-by-1024`.
    let only: String?
    fileprivate let size = 4_194_304

    func run() throws {
        for piece in [1_024, 16_384, size] where isWanted("memory", piece) {
            try fromMemory(piece)
        }
        for piece in [1_024, 16_384, size] where isWanted("socket", piece) {
            try fromSocket(piece)
        }
        for piece in [1_024, 16_384, size] where isWanted("paced", piece) {
            try fromSameThread(piece)
        }
        for piece in [1_024, 16_384, size] where isWanted("written", piece) {
            try fromNeighbour(piece)
        }
    }

    private func isWanted(_ form: String, _ piece: Int) -> Bool {
        only == nil || only == "\(form)-by-\(piece)"
    }

    /// The times of the loop's thread for each message, and the turns of the loop: where several
    /// pieces have come by the time that it looks, it is not their price that was measured.
    fileprivate func measure(
        _ what: String, _ loop: IOLoop, _ body: nonisolated(nonsending) () async throws -> Void
    ) async throws {
        let start = Times.now(thread: true)
        let turns = loop.metrics.turns
        try await body()
        report(
            "updraft", what, count, since: start, thread: true,
            turns: Int(loop.metrics.turns - turns))
    }

    fileprivate var options: StreamOptions {
        var options = StreamOptions()
        options.readBufferMax = 2 * size
        return options
    }

    /// From memory, a piece in each turn of the loop: the most that pieces can cost.
    private func fromMemory(_ piece: Int) throws {
        try IOLoop.run { loop in
            try await measure("memory-by-\(piece)", loop) {
                for _ in 0..<count {
                    let source = PieceSource(size: size, piece: piece, loop: loop)
                    let stream = try IOStream(source, loop: loop, options: options)
                    source.onReady?(.read)
                    let bytes = try await stream.read(until: "\r\n\r\n", maxBytes: size)
                    precondition(bytes.count == size)
                    stream.close()
                }
            }
        }
    }

    /// From a peer that sends each piece by itself, as fast as it can. The times are those of the
    /// loop's thread.
    private func fromSocket(_ piece: Int) throws {
        try IOLoop.run { loop in
            let (count, size) = (count, size)
            var serverOptions = TCPServer.Options()
            serverOptions.stream = options
            let server = TCPServer(port: 0, options: serverOptions)
            try server.bind()
            let port = server.port
            let peer = spawnThread {
                let socket = connectSocket(port)
                var bytes = [UInt8](repeating: UInt8(ascii: "x"), count: size)
                bytes.replaceSubrange((size - 4)..., with: "\r\n\r\n".utf8)
                for _ in 0..<count { sendAll(bytes, to: socket, by: piece) }
                close(socket)
            }
            try await server.serve { stream in
                try await measure("socket-by-\(piece)", loop) {
                    for _ in 0..<count {
                        let bytes = try await stream.read(until: "\r\n\r\n", maxBytes: size)
                        precondition(bytes.count == size)
                    }
                }
                server.stop()
            }
            pthread_join(peer, nil)
        }
    }
}

extension ReadBench {
    /// From a handler of the same loop that sends one piece in each turn: however busy the machine
    /// is, each piece comes by itself. The times are of sending too.
    private func fromSameThread(_ piece: Int) throws {
        try IOLoop.run { loop in
            var serverOptions = TCPServer.Options()
            serverOptions.stream = options
            let server = TCPServer(port: 0, options: serverOptions)
            try server.bind()
            let peer = connectSocket(server.port)
            defer { close(peer) }
            let sender = PieceSender(socket: peer, size: size, piece: piece)
            try await server.serve { stream in
                try loop.withoutContext {
                    try loop.addHandler(peer, events: .write) { _, _ in sender.sendOne() }
                }
                try await measure("paced-by-\(piece)", loop) {
                    for _ in 0..<count {
                        let bytes = try await stream.read(until: "\r\n\r\n", maxBytes: size)
                        precondition(bytes.count == size)
                    }
                }
                loop.removeHandler(peer)
                server.stop()
            }
        }
    }

    /// From a task of the same loop that writes the pieces one after the other, over a socket; its
    /// writes are in the times.
    private func fromNeighbour(_ piece: Int) throws {
        try IOLoop.run { loop in
            let (count, size) = (count, size)
            var serverOptions = TCPServer.Options()
            serverOptions.stream = options
            let server = TCPServer(port: 0, options: serverOptions)
            try server.bind()
            let port = server.port
            loop.spawn {
                let near = try await TCPClient.connect(host: "127.0.0.1", port: port)
                let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: piece)
                for _ in 0..<count {
                    for _ in 1..<(size / piece) { try await near.write(bytes) }
                    try await near.write(Array(bytes.dropLast(4)) + "\r\n\r\n".utf8)
                }
                near.close()
            }
            try await server.serve { stream in
                try await measure("written-by-\(piece)", loop) {
                    for _ in 0..<count {
                        let bytes = try await stream.read(until: "\r\n\r\n", maxBytes: size)
                        precondition(bytes.count == size)
                    }
                }
                server.stop()
            }
        }
    }
}

private func sendAll(_ bytes: [UInt8], to socket: Int32, by piece: Int) {
    bytes.withUnsafeBytes { bytes in
        var sent = 0
        while sent < bytes.count {
            let rest = bytes[sent..<min(bytes.count, sent + piece)]
            let result = send(
                socket, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count,
                Int32(MSG_NOSIGNAL))
            precondition(result > 0, "the connection ended")
            sent += result
        }
    }
}

/// Sends the same message again and again, a piece at each call.
private final class PieceSender {
    private let socket: Int32
    private let piece: Int
    private let bytes: [UInt8]
    private var sent = 0

    init(socket: Int32, size: Int, piece: Int) {
        self.socket = socket
        self.piece = piece
        bytes = [UInt8](repeating: UInt8(ascii: "x"), count: size - 4) + "\r\n\r\n".utf8
    }

    func sendOne() {
        let count = min(bytes.count - sent, piece)
        let result = bytes.withUnsafeBytes {
            send(
                socket, UnsafeRawBufferPointer(rebasing: $0[sent...]).baseAddress, count,
                Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
        precondition(result > 0 || errno == EAGAIN, "the connection ended")
        sent += max(result, 0)
        if sent == bytes.count { sent = 0 }
    }
}

/// A transport that hands out as many bytes as it is made with, the delimiter last, in pieces.
private final class PieceSource: Transport {
    let descriptor: Int32? = nil
    var onReady: ((IOEvents) -> Void)?
    private let piece: Int
    private let loop: IOLoop
    private var left: Int
    private var tell: () -> Void = {}

    init(size: Int, piece: Int, loop: IOLoop) {
        left = size
        self.piece = piece
        self.loop = loop
        tell = { [unowned self] in onReady?(.read) }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> TransportRead {
        guard left > 0, let start = buffer.baseAddress else { return .endOfStream }
        let taken = min(left, piece, buffer.count)
        memset(start, Int32(UInt8(ascii: "x")), taken)
        left -= taken
        // The buffer is larger than what is left last, and no piece ends within the delimiter.
        if left == 0 { memcpy(start + taken - 4, "\r\n\r\n", 4) }
        // A short read means that there is no more for now: the next piece comes in the next turn.
        if taken < buffer.count, left > 0 { loop.spawnCallback(tell) }
        return .bytes(taken)
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> Int { bytes.count }
    func shutdownWrite() {}
    func takePendingError() -> SystemError? { nil }
    func close() {}
    func abort() {}
}
