import MessagePack

struct Player: Codable, MessagePackCodable { var name: String; var score: Int }

func pack() throws -> Player {
    let bytes = try Player(name: "ann", score: 7).messagePackBytes()
    let player = try Player(messagePackBytes: bytes)
    return player
}
