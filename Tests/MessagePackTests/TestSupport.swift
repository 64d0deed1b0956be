import MessagePack

/// The bytes that a closure writes.
func written(_ body: (inout MessagePackWriter) throws -> Void) rethrows -> [UInt8] {
    var writer = MessagePackWriter()
    try body(&writer)
    return writer.takeBytes()
}

/// Reads from bytes and checks that all of them were used.
func read<Value>(
    _ bytes: [UInt8], _ body: (inout MessagePackReader) throws -> Value
) throws -> Value {
    try MessagePackReader.withReader(of: bytes) { reader in
        let value = try body(&reader)
        try reader.finish()
        return value
    }
}

/// The code of the error that a closure throws, or nil.
func code(_ body: () throws -> Void) -> MessagePackError.Code? {
    do {
        try body()
        return nil
    } catch {
        return (error as? MessagePackError)?.code
    }
}

/// So many arrays in one another, the innermost one empty.
func nestedArrays(_ depth: Int) -> [UInt8] {
    [UInt8](repeating: 0x91, count: depth - 1) + [0x90]
}

/// SplitMix64: random numbers that a seed repeats.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
