#if Regex
    // Reading up to a regular expression: contract row J5.
    extension IOStream {
        /// Reads up to and with the first match of a pattern.
        ///
        /// How the bytes are cut into packets does not change the result: a pattern that could go
        /// on (`[0-9]+`) waits for the byte that ends it, or for the end of the stream. What can't
        /// be part of a match is not looked at again. What can, is looked at from its beginning in
        /// each piece: with a pattern whose matches may begin anywhere and end far away
        /// (`a.*b`), the work grows with the square of `maxBytes` if the peer sends byte by byte.
        ///
        /// - Parameters:
        ///   - pattern: Must match at least one byte to be of use.
        ///   - maxBytes: The result's length at the most.
        /// - Throws: As `read(until:maxBytes:)`; `.unsatisfiableRead` also for a pattern that takes
        ///   too many steps to match.
        public nonisolated(nonsending) func read(
            untilMatching pattern: BytePattern, maxBytes: Int = 65_536
        ) async throws -> [UInt8] {
            let maxBytes = min(maxBytes, options.readBufferMax)
            try beginRead(maxBytes)
            var search = PatternSearch(pattern)
            while true {
                let length = try find(&search, maxBytes, isEnd: input == .ended)
                if let length { return readBuffer.take(length) }
                if try fillBuffer() { continue }
                // The end of the stream may be what a match has waited for.
                if input == .ended, let length = try find(&search, maxBytes, isEnd: true) {
                    return readBuffer.take(length)
                }
                if try mustWait(for: "the pattern matched") {
                    try await readWaiter.wait(for: .bytes)
                }
            }
        }

        /// The length up to the end of a match, or nil if there is none yet.
        private func find(
            _ search: inout PatternSearch, _ maxBytes: Int, isEnd: Bool
        ) throws -> Int? {
            switch readBuffer.withBytes({ search.look(at: $0, isEnd: isEnd) }) {
            case .match(let end) where end <= maxBytes: return end
            case .none where readBuffer.count < maxBytes: return nil
            case .failed(let reason): throw giveUp("The pattern could not be matched: \(reason).")
            default: throw giveUp("The pattern did not match within \(maxBytes) bytes.")
            }
        }
    }

    /// One read's search, over bytes that grow.
    private struct PatternSearch {
        private let pattern: BytePattern
        private let data: BytePattern.MatchData?
        private var start = 0
        private var looked: (count: Int, isEnd: Bool) = (0, false)

        init(_ pattern: BytePattern) {
            self.pattern = pattern
            data = BytePattern.MatchData(pattern)
        }

        mutating func look(
            at bytes: UnsafeRawBufferPointer, isEnd: Bool
        ) -> BytePattern.Search {
            // With nothing new there is nothing to find.
            if looked == (bytes.count, isEnd) || bytes.isEmpty { return .none(from: start) }
            guard let data else { return .failed("out of memory") }
            let result = pattern.search(bytes, from: start, isEnd: isEnd, data)
            if case .none(let from) = result { start = from }
            looked = (bytes.count, isEnd)
            return result
        }
    }
#endif
