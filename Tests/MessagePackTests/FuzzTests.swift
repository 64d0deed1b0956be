import MessagePack
import Testing

/// Random inputs. The seed is printed by a failure; put it into `seed` to repeat the run.
struct FuzzTests {
    static let seed = UInt64.random(in: 0 ... .max)

    static func randomValue(
        _ generator: inout SeededGenerator, depth: Int = 0
    ) -> MessagePackValue {
        let length = Int.random(in: 0...40, using: &generator)
        switch Int.random(in: 0...(depth < 5 ? 10 : 8), using: &generator) {
        case 0: return .nil
        case 1: return .bool(.random(using: &generator))
        case 2: return .int(Int64(truncatingIfNeeded: generator.next()) >> Int64(length))
        case 3: return .uint(generator.next() >> UInt64(length))
        case 4: return .float(.random(in: -1e9...1e9, using: &generator))
        case 5: return .double(.random(in: -1e99...1e99, using: &generator))
        case 6:
            let character = "aé日🙂".randomElement(using: &generator) ?? "a"
            return .string(String(repeating: character, count: length))
        case 7: return .binary(randomBytes(&generator, count: length))
        case 8:
            return .ext(
                type: .random(in: .min ... .max, using: &generator),
                bytes: randomBytes(&generator, count: length))
        case 9:
            return .array(
                (0..<length / 4).map { _ in randomValue(&generator, depth: depth + 1) })
        default:
            return .map(
                (0..<length / 4).map { _ in
                    let key = randomValue(&generator, depth: depth + 1)
                    return .init(key, randomValue(&generator, depth: depth + 1))
                })
        }
    }

    static func randomBytes(_ generator: inout SeededGenerator, count: Int) -> [UInt8] {
        (0..<count).map { _ in .random(in: .min ... .max, using: &generator) }
    }

    @Test func randomValuesSurvive() throws {
        var generator = SeededGenerator(seed: Self.seed)
        for _ in 0..<500 {
            let value = Self.randomValue(&generator)
            let bytes = try value.messagePackBytes()
            let decoded = try MessagePackValue(messagePackBytes: bytes)
            #expect(decoded == value, "seed \(Self.seed)")
            #expect(decoded.hashValue == value.hashValue, "seed \(Self.seed)")
            #expect(try MessagePackEncoder().encode(value) == bytes, "seed \(Self.seed)")
            var scanner = MessagePackScanner()
            let progress = try bytes.withUnsafeBytes { try scanner.scan($0) }
            #expect(progress == .complete(bytes.count), "seed \(Self.seed)")
        }
    }

    /// Bytes that begin like MessagePack, so that errors occur deep inside as well.
    static func randomInput(_ generator: inout SeededGenerator) -> [UInt8] {
        if Bool.random(using: &generator) {
            return randomBytes(&generator, count: .random(in: 0...64, using: &generator))
        }
        var bytes = (try? randomValue(&generator).messagePackBytes()) ?? []
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &generator)
            bytes[index] = .random(in: .min ... .max, using: &generator)
        }
        return bytes
    }

    @Test func garbageNeverTraps() {
        struct Shape: Codable {
            var a: [Int]?
            var b: [String: Double]?
        }
        var generator = SeededGenerator(seed: Self.seed)
        for _ in 0..<5_000 {
            let bytes = Self.randomInput(&generator)
            let value = try? MessagePackValue(messagePackBytes: bytes)
            _ = value?.description
            _ = try? [Int](messagePackBytes: bytes)
            _ = try? [String: Double](messagePackBytes: bytes)
            _ = try? MessagePackDecoder().decode(Shape.self, from: bytes)
            _ = try? MessagePackDecoder().decode([[UInt8]].self, from: bytes)
            Self.readAtRandom(bytes, &generator)
        }
    }

    static func readAtRandom(_ bytes: [UInt8], _ generator: inout SeededGenerator) {
        MessagePackReader.withReader(of: bytes) { reader in
            for _ in 0..<8 {
                switch generator.next() % 12 {
                case 0: try? reader.readNil()
                case 1: _ = try? reader.readBool()
                case 2: _ = try? reader.readInt()
                case 3: _ = try? reader.read(Int8.self)
                case 4: _ = try? reader.readDouble()
                case 5: _ = try? reader.readFloat()
                case 6: _ = try? reader.readString()
                case 7: _ = try? reader.readBinary()
                case 8: _ = try? reader.readExt().bytes.reduce(0, &+)
                case 9: _ = try? reader.readArrayHeader()
                case 10: _ = try? reader.readTimestamp()
                default: try? reader.skip()
                }
            }
        }
    }

    /// The scanner, `skip()` and the value must agree on where a message ends, or that it is wrong.
    @Test func scannerSkipAndValueAgreeOnGarbage() {
        var generator = SeededGenerator(seed: Self.seed)
        for _ in 0..<5_000 {
            let bytes = Self.randomInput(&generator)
            let whole = Self.scanned(bytes, pieces: false)
            #expect(Self.scanned(bytes, pieces: true) == whole, "seed \(Self.seed)")
            let skipped = MessagePackReader.withReader(of: bytes) { reader in
                (try? reader.skip()).map { reader.position }
            }
            if case .complete(let length) = whole {
                #expect(skipped == length, "seed \(Self.seed)")
            } else {
                #expect(skipped == nil, "seed \(Self.seed)")
                let value = MessagePackReader.withReader(of: bytes) { reader in
                    try? MessagePackValue.decode(from: &reader)
                }
                #expect(value == nil, "seed \(Self.seed)")
            }
        }
    }

    /// The answer for all of the bytes, given at once or one more at a time; nil for an error.
    static func scanned(_ bytes: [UInt8], pieces: Bool) -> MessagePackScanner.Progress? {
        var scanner = MessagePackScanner()
        return bytes.withUnsafeBytes { buffer in
            for end in (pieces ? 0 : buffer.count)...buffer.count {
                let part = UnsafeRawBufferPointer(rebasing: buffer[..<end])
                guard let progress = try? scanner.scan(part) else { return nil }
                if case .complete = progress { return progress }
            }
            return .incomplete
        }
    }
}
