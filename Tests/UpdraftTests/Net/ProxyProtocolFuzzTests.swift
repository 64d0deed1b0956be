import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// What comes from outside is cut, damaged and split in every way.
@Suite struct ProxyProtocolFuzzTests {
    private typealias Progress = ProxyProtocol.Progress

    private func parse(_ bytes: some Sequence<UInt8>) throws -> Progress {
        try ProxyProtocol.parse(Array(bytes), bytesMax: 4_096)
    }

    /// It asks for bytes that the header certainly has, so that none behind it are taken.
    @Test func everyTruncationAsksForBytesOfTheHeaderAlone() throws {
        for (bytes, _) in ProxyHeaders.all {
            for count in 0..<bytes.count {
                guard case .incomplete(let missing) = try parse(bytes.prefix(count)) else {
                    Issue.record("\(count) of \(bytes) is complete")
                    continue
                }
                #expect(1...(bytes.count - count) ~= missing, "\(count) of \(bytes)")
            }
        }
    }

    @Test func whatStandsBehindTheHeaderIsNotLookedAt() throws {
        var random = SeededGenerator(seed: 4)
        for (bytes, _) in ProxyHeaders.all {
            let alone = try parse(bytes)
            for tail in [[0], [0x0A], "\r\n".bytes, bytes, random.bytes(300)] {
                let both = try parse(bytes + tail)
                #expect(both == alone, "\(bytes)")
            }
        }
    }

    @Test func tenThousandMutationsAreAnsweredWithinTheirBytes() throws {
        var random = SeededGenerator(seed: 20_260)
        var complete = 0
        for round in 0..<10_000 {
            let bytes = mutated(ProxyHeaders.all[round % ProxyHeaders.all.count].header, &random)
            guard let progress = try? parse(bytes) else { continue }
            switch progress {
            case .incomplete(let missing):
                #expect(1...4_096 ~= missing)
            case .complete(_, let length):
                complete += 1
                #expect(length >= 15 && length <= bytes.count)
                let alone = try parse(bytes.prefix(length))
                #expect(alone == progress)
                let count = Int.random(in: 0..<length, using: &random)
                guard case .incomplete(let missing) = try parse(bytes.prefix(count)) else {
                    Issue.record("\(count) of \(bytes) is complete")
                    continue
                }
                #expect(count + missing <= length, "\(count) of \(bytes)")
            }
        }
        // Both ways were tried.
        #expect(1_000...9_000 ~= complete)
    }

    private func mutated(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes[place] = UInt8.random(in: .min ... .max, using: &random)
            case 2: bytes.insert(UInt8.random(in: .min ... .max, using: &random), at: place)
            case 3: bytes.remove(at: place)
            case 4: bytes += random.bytes(8)
            default: bytes.insert(contentsOf: bytes[place...].prefix(20), at: place)
            }
        }
        return bytes
    }

    @Test func everySplitOverTwoReadsTakesTheHeaderAlone() async throws {
        try await withLoop { loop in
            for (bytes, client) in ProxyHeaders.all {
                for count in 0...bytes.count {
                    let pieces = [Array(bytes[..<count]), bytes[count...] + "tail".bytes]
                    try await expectHeader(of: client, pieces, loop)
                }
            }
        }
    }

    @Test func oneByteAtATimeTakesTheHeaderAlone() async throws {
        try await withLoop { loop in
            for (bytes, client) in ProxyHeaders.all {
                try await expectHeader(of: client, (bytes + "tail".bytes).map { [$0] }, loop)
            }
        }
    }

    private nonisolated(nonsending) func expectHeader(
        of client: String?, _ pieces: [[UInt8]], _ loop: IOLoop
    ) async throws {
        let (left, right) = MemoryTransport.pair(on: loop)
        let near = try IOStream(left, loop: loop)
        let far = try IOStream(right, loop: loop)
        defer {
            near.close()
            far.close()
        }
        loop.spawn {
            for piece in pieces where !piece.isEmpty {
                try await far.write(piece)
                try await loop.turns(2)
            }
            far.endWriting()
        }
        let header = try await near.readProxyHeader()
        #expect(header.source.map { "\($0)" } == client)
        #expect(near.readBuffer.isEmpty)
        #expect(try await near.readToEnd() == "tail".bytes)
    }

    @Test func aWrongBeginningIsRefusedWithoutWaitingForMore() async throws {
        try await withLoop { loop in
            for text in ["G", "PROXY TCP9 1.1.1.1", "\r\n\r\nX"] {
                let (near, far) = try MemoryStream.pair(on: loop)
                try await far.write(text)
                let code = await streamFailure { _ = try await near.readProxyHeader() }
                #expect(code == .invalidProxyHeader)
                near.close()
                far.close()
            }
        }
    }

    @Test func aHeaderThatEndsEarlyIsTheEndOfTheStream() async throws {
        try await withLoop { loop in
            for (bytes, _) in ProxyHeaders.all {
                let (near, far) = try MemoryStream.pair(on: loop)
                try await far.write(Array(bytes.dropLast()))
                far.endWriting()
                let code = await streamFailure { _ = try await near.readProxyHeader() }
                #expect(code == .endOfStream)
                near.close()
                far.close()
            }
        }
    }
}
