import MessagePack
import Testing

struct CodableTests {
    struct Player: Codable, Equatable, MessagePackCodable {
        var name: String
        var score: Int
        var ratio: Float
        var key: [UInt8]
        var tags: [String]
        var best: [String: Int]
        var clan: Clan?
        var state: State
        var extra: MessagePackValue
        var seen: MessagePackTimestamp
    }
    struct Clan: Codable, Equatable { var id: UInt64 }
    enum State: Codable, Equatable { case idle, playing(level: Int, Bool) }
    enum Color: String, Codable, MessagePackCodable { case red }

    static let player = Player(
        name: "ann", score: -7, ratio: 0.5, key: [1, 2], tags: ["a"], best: ["x": 1],
        clan: Clan(id: .max), state: .playing(level: 3, true),
        extra: .ext(type: 4, bytes: [9]), seen: MessagePackTimestamp(seconds: 5))

    @Test func aStructSurvives() throws {
        let bytes = try MessagePackEncoder().encode(Self.player)
        #expect(try MessagePackDecoder().decode(Player.self, from: bytes) == Self.player)
    }

    @Test func aStructJoinsWithOneLine() throws {
        let bytes = try [Self.player].messagePackBytes()
        #expect(try [Player](messagePackBytes: bytes) == [Self.player])
        #expect(try Color.red.messagePackBytes() == "red".messagePackBytes())
        #expect(try Color(messagePackBytes: "red".messagePackBytes()) == .red)
        #expect(throws: DecodingError.self) {
            try Color(messagePackBytes: "blue".messagePackBytes())
        }
    }

    @Test func aStructIsAMapOfItsPropertiesInOrder() throws {
        let bytes = try MessagePackEncoder().encode(Self.player)
        let value = try MessagePackValue(messagePackBytes: bytes)
        #expect(
            value.mapValue?.map(\.key) == [
                "name", "score", "ratio", "key", "tags", "best", "clan", "state", "extra", "seen",
            ])
        #expect(value["key"] == .binary([1, 2]))
        #expect(value["extra"] == .ext(type: 4, bytes: [9]))
        #expect(value["seen"] == .ext(type: -1, bytes: [0, 0, 0, 5]))
        #expect(value["state"] == ["playing": ["level": 3, "_1": true]])
    }

    @Test func emptyArraysOfOtherTypesAreNoBinary() throws {
        #expect(try MessagePackEncoder().encode([Int]()) == [0x90])
        #expect(try MessagePackEncoder().encode([UInt8]()) == [0xc4, 0])
        #expect(try MessagePackDecoder().decode([Int].self, from: [0x90]) == [])
        #expect(try MessagePackDecoder().decode([UInt8].self, from: [0x91, 7]) == [7])
    }

    @Test func absentOptionalsAreLeftOutAndNilIsRead() throws {
        struct Box: Codable, Equatable { var a: Int?; var b: [Int?] }
        let bytes = try MessagePackEncoder().encode(Box(a: nil, b: [nil, 1]))
        #expect(try MessagePackValue(messagePackBytes: bytes) == ["b": [nil, 1]])
        let withNil: MessagePackValue = ["a": nil, "b": [], "unknown": 5]
        #expect(try MessagePackDecoder().decode(Box.self, from: withNil) == Box(a: nil, b: []))
    }

    @Test func errorsNameThePathToThePlace() throws {
        struct Team: Codable { var players: [Clan] }
        let wrong: MessagePackValue = ["players": [["id": 1], ["id": "x"]]]
        do {
            _ = try MessagePackDecoder().decode(Team.self, from: wrong)
            Issue.record("expected an error")
        } catch DecodingError.typeMismatch(let type, let context) {
            #expect(ObjectIdentifier(type) == ObjectIdentifier(UInt64.self))
            #expect(context.codingPath.map(\.stringValue) == ["players", "1", "id"])
            #expect(context.debugDescription == "expected an integer, found a string")
        }
        let missing: MessagePackValue = ["players": [[:]]]
        do {
            _ = try MessagePackDecoder().decode(Team.self, from: missing)
            Issue.record("expected an error")
        } catch DecodingError.keyNotFound(let key, let context) {
            #expect(key.stringValue == "id")
            #expect(context.codingPath.map(\.stringValue) == ["players", "0"])
        }
        let outOfRange: MessagePackValue = ["players": [["id": -1]]]
        do {
            _ = try MessagePackDecoder().decode(Team.self, from: outOfRange)
            Issue.record("expected an error")
        } catch DecodingError.dataCorrupted(let context) {
            #expect(context.debugDescription == "-1 does not fit in UInt64")
        }
    }

    class Base: Codable {
        var a: Int
        init(a: Int) { self.a = a }
    }

    final class Derived: Base {
        var b: Int
        init(a: Int, b: Int) {
            self.b = b
            super.init(a: a)
        }
        private enum Key: String, CodingKey { case b }
        required init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Key.self)
            b = try container.decode(Int.self, forKey: .b)
            try super.init(from: container.superDecoder())
        }
        override func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(b, forKey: .b)
            try super.encode(to: container.superEncoder())
        }
    }

    @Test func aSuperclassIsEncodedBelowItsKey() throws {
        let bytes = try MessagePackEncoder().encode(Derived(a: 1, b: 2))
        #expect(try MessagePackValue(messagePackBytes: bytes) == ["b": 2, "super": ["a": 1]])
        let decoded = try MessagePackDecoder().decode(Derived.self, from: bytes)
        #expect((decoded.a, decoded.b) == (1, 2))
    }

    /// Two nested containers filled in turns, and a key that is written twice.
    struct Interleaved: Encodable {
        enum Key: String, CodingKey { case x, y }
        func encode(to encoder: any Encoder) throws {
            var outer = encoder.container(keyedBy: Key.self)
            var first = outer.nestedUnkeyedContainer(forKey: .x)
            var second = outer.nestedContainer(keyedBy: Key.self, forKey: .y)
            try first.encode(1)
            try second.encode(2, forKey: .x)
            try first.encodeNil()
            var inner = first.nestedUnkeyedContainer()
            try second.encode(3, forKey: .x)
            try inner.encode("in")
            try first.encode(4)
        }
    }

    @Test func nestedContainersMayBeFilledInTurns() throws {
        let bytes = try MessagePackEncoder().encode(Interleaved())
        let expected: MessagePackValue = ["x": [1, nil, ["in"], 4], "y": ["x": 3]]
        #expect(try MessagePackValue(messagePackBytes: bytes) == expected)
    }

    @Test func containersOfTwoKindsAreAnErrorAndNoTrap() {
        struct Confused: Encodable {
            func encode(to encoder: any Encoder) throws {
                var array = encoder.unkeyedContainer()
                try array.encode(1)
                var map = encoder.container(keyedBy: Interleaved.Key.self)
                try map.encode(1, forKey: .x)
            }
        }
        #expect(throws: EncodingError.self) { try MessagePackEncoder().encode([Confused()]) }
    }

    @Test func largeMapsFindTheirKeys() throws {
        let scores = Dictionary(uniqueKeysWithValues: (0..<500).map { ("player\($0)", $0) })
        let bytes = try MessagePackEncoder().encode(scores)
        #expect(try MessagePackDecoder().decode([String: Int].self, from: bytes) == scores)
        let integers: MessagePackValue = [5: "five", "6": "six"]
        let decoded = try MessagePackDecoder().decode([Int: String].self, from: integers)
        #expect(decoded == [5: "five", 6: "six"])
    }

    @Test(arguments: [0, 40])
    func ofDuplicateKeysTheLastCounts(others: Int) throws {
        let pairs = (0..<others).map { MessagePackValue.Pair(.string("other\($0)"), 0) }
        let value = MessagePackValue.map(pairs + [.init("id", 1), .init("id", 2)])
        #expect(try MessagePackDecoder().decode(Clan.self, from: value) == Clan(id: 2))
    }

    final class Node: Codable {
        var next: Node?
    }

    @Test func codableRefusesNestingOf65AndCycles() throws {
        let chain = Node()
        var last = chain
        for _ in 1..<64 {
            let node = Node()
            last.next = node
            last = node
        }
        let bytes = try MessagePackEncoder().encode(chain)
        _ = try MessagePackDecoder().decode(Node.self, from: bytes)
        last.next = Node()
        #expect(throws: (any Error).self) { try MessagePackEncoder().encode(chain) }
        last.next = chain
        #expect(throws: EncodingError.self) { try MessagePackEncoder().encode(chain) }
        last.next = nil
        let tooDeep = [UInt8](repeating: 0x91, count: 64) + [0x90]
        #expect(
            code { _ = try MessagePackDecoder().decode(MessagePackValue.self, from: tooDeep) }
                == .nestingTooDeep)
    }
}
