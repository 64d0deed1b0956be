import MessagePack
import Testing
import Updraft
import UpdraftRPC
import UpdraftTesting

struct BadInputTests {
    /// A message, the id that it is answered under, and what the answer must contain.
    struct Mistake: Sendable, CustomTestStringConvertible {
        let message: MessagePackValue
        var id: MessagePackValue = 0
        let word: String

        var testDescription: String { message.description }
    }

    static let mistakes: [Mistake] = [
        Mistake(message: 42, word: "array"),
        Mistake(message: "sum", word: "array"),
        Mistake(message: [:], word: "array"),
        Mistake(message: [], word: "array"),
        Mistake(message: [0, 7, "sum"], id: 7, word: "array"),
        Mistake(message: [0, 7, "sum", [1, 2], 5], id: 7, word: "array"),
        Mistake(message: [1, 7, nil], word: "array"),
        Mistake(message: [3, 7, "sum", [1, 2]], word: "type"),
        Mistake(message: [-1, 7, "sum", [1, 2]], word: "type"),
        Mistake(message: [256, 7, "sum", [1, 2]], word: "type"),
        Mistake(message: ["x", 7, "sum", [1, 2]], word: "type"),
        Mistake(message: [0, -1, "sum", [1, 2]], word: "id"),
        Mistake(message: [0, "x", "sum", [1, 2]], word: "id"),
        Mistake(message: [0, 4_294_967_296, "sum", [1, 2]], word: "id"),
        Mistake(message: [0, .uint(.max), "sum", [1, 2]], word: "id"),
        Mistake(message: [0, 1.5, "sum", [1, 2]], word: "id"),
        Mistake(message: [0, 7, 5, [1, 2]], id: 7, word: "method name"),
        Mistake(message: [0, 7, "nope", []], id: 7, word: "nope"),
        Mistake(message: [0, 7, "sum", 5], id: 7, word: "argument"),
        Mistake(message: [0, 7, "sum", [1]], id: 7, word: "2 arguments, not 1"),
        Mistake(message: [0, 7, "sum", [1, 2, 3]], id: 7, word: "2 arguments, not 3"),
        Mistake(
            message: [0, 7, "sum", [1, "x"]], id: 7,
            word: "argument 2 of 'sum': expected an integer, found a string"),
        Mistake(message: [0, 7, "sum", [.uint(.max), 1]], id: 7, word: "argument 1 of 'sum'"),
        Mistake(message: [0, 7, "later", ["x"]], id: 7, word: "argument 1 of 'later'"),
    ]

    @Test(arguments: mistakes)
    func mistakeIsToldAndTheConnectionStays(_ mistake: Mistake) async throws {
        try await withSum { raw in
            let text = try await raw.errorText(for: mistake.message, id: mistake.id)
            #expect(text?.contains(mistake.word) == true, "\(text ?? "no error")")
            #expect(text?.contains("/") == false)
            try await raw.send([0, 1, "sum", [40, 2]])
            #expect(try await raw.receive() == [1, 1, nil, 42])
        }
    }

    /// Bytes that break the framing, and what the peer must be told.
    static let breaches: [([UInt8], String)] = [
        ([0xc1], "0xc1"),
        ([0x94, 0x00, 0xc1], "0xc1"),
        ([UInt8](repeating: 0x91, count: 65), "nest"),
        ([0xdd, 0xff, 0xff, 0xff, 0xff], "limit"),
        ([0x94, 0x00, 0x01, 0xdb, 0x01, 0x10, 0x00, 0x00], "limit"),
        (
            Array("GET / HTTP/1.1\r\nHost: an.example\r\nAccept: */*\r\nUser-Agent: x/1\r\n".utf8),
            "not"
        ),
    ]

    @Test(arguments: breaches)
    func lostFramingIsToldAndClosesThatConnectionAlone(
        bytes: [UInt8], word: String
    ) async throws {
        try await withServer(methods: Self.register) { server in
            let good = try await RawClient(server)
            let bad = try await RawClient(server)
            try await bad.send([0, 1, "sum", [40, 2]])
            // Far more than is read at once: a reset would meet it, and take the error away.
            try await bad.stream.write(bytes + [UInt8](repeating: 0x41, count: 2_000_000))
            try await bad.stream.flush()
            #expect(try await bad.receive() == [1, 1, nil, 42])
            var last: MessagePackValue = nil
            let end = await errorOf { while true { last = try await bad.receive() } }
            #expect((end as? StreamError)?.code == .endOfStream)
            #expect(last[0] == 1 && last[1] == 0 && last[3] == .nil)
            #expect(last[2]?.stringValue?.contains(word) == true, "\(last)")
            bad.stream.close()
            try await good.send([0, 2, "sum", [1, 2]])
            #expect(try await good.receive() == [1, 2, nil, 3])
            good.stream.close()
        }
    }

    @Test func responsesWithoutACallAreDroppedAndNeverAnswered() async throws {
        try await withSum { raw in
            try await raw.send(
                [1, 77, nil, "?"], [1, 0, "error", nil], [1, "x", nil, 1], [1, -5, nil, 1],
                [0, 3, "sum", [1, 2]])
            #expect(try await raw.receive() == [1, 3, nil, 3])
        }
    }

    @Test func largestIdAndNamesAsBinaryDataAreAccepted() async throws {
        try await withSum { raw in
            try await raw.send([0, 4_294_967_295, .binary(Array("sum".utf8)), [1, 2]])
            #expect(try await raw.receive() == [1, 4_294_967_295, nil, 3])
        }
    }

    @Test func messageCutAtEveryPositionIsUnderstood() async throws {
        let messages: [MessagePackValue] = [
            [0, 1, "sum", [100_000, -2]], [2, "sum", [1, 2]], [0, 2, "later", [5]], 7,
        ]
        let bytes = try messages.flatMap { try $0.messagePackBytes() }
        try await withSum { raw in
            for cut in 1..<bytes.count {
                try await raw.stream.write(Array(bytes[..<cut]))
                try await raw.stream.flush()
                // The other side gets its turns, on the same loop, before the rest is sent.
                for _ in 0..<3 { try await raw.stream.loop.nextTurn() }
                try await raw.stream.write(Array(bytes[cut...]))
                var answers: Set<MessagePackValue> = []
                for _ in 0..<3 { answers.insert(try await raw.receive()) }
                #expect(answers.contains([1, 1, nil, 99_998]), "cut at \(cut)")
                #expect(answers.contains([1, 2, nil, 6]), "cut at \(cut)")
            }
        }
    }

    @Test func messageFedByteByByteIsUnderstood() async throws {
        let request: MessagePackValue = [0, 1, "sum", [100_000, -2]]
        try await withSum { raw in
            for byte in try request.messagePackBytes() {
                try await raw.stream.write([byte])
                try await raw.stream.flush()
                try await raw.stream.loop.nextTurn()
            }
            #expect(try await raw.receive() == [1, 1, nil, 99_998])
        }
    }

    @Test func halfAMessageAndTheEndClosesTheConnection() async throws {
        try await withServer(methods: Self.register) { server in
            let raw = try await RawClient(server)
            try await raw.stream.write([0x94, 0x00, 0x01])
            raw.stream.endWriting()
            #expect(try await raw.stream.readToEnd() == [])
            try await until(server.loop) { server.peerCount == 0 }
            raw.stream.close()
        }
    }

    private static func register(_ rpc: RPCServer) {
        rpc.register("sum") { (x: Int, y: Int) in x + y }
        rpc.register("later") { (x: Int) in
            try await IOLoop.current.nextTurn()
            return x + 1
        }
    }

    private func withSum(
        _ body: nonisolated(nonsending) @escaping @Sendable (RawClient) async throws -> Void
    ) async throws {
        try await withServer(methods: Self.register) { server in
            let raw = try await RawClient(server)
            try await body(raw)
            raw.stream.close()
        }
    }
}
