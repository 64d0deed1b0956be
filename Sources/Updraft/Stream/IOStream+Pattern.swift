#if Regex
    // Reading up to a regular expression: contract row J5.
    extension IOStream {
        /// Reads up to and with the first match of a pattern.
        ///
        /// How the bytes are cut into packets does not change the result: a pattern that could go
        /// on (`[0-9]+`) waits for the byte that ends it, or for the end of the stream. As soon as
        /// the bytes are there that decide it, the match is returned. The exception is a multi-line
        /// `^` behind the newline that ends a packet: to PCRE2 no line begins there yet, and it
        /// does not ask for more.
        ///
        /// What can't be part of a match is not looked at again, and no match is looked for before
        /// a byte has come that every match needs, such as the `b` of `a[^b]*b`: until then the
        /// work is linear. After that, and with a pattern that needs no certain byte
        /// (`a[^bc]*(b|c)`), what may be part of a match is looked at from its beginning whenever
        /// bytes have come. If it is long and the peer sends byte by byte, the work grows with the
        /// square of its length, as with `a.*b` between the `b` and the end of its line: give such
        /// patterns a small `maxBytes`.
        ///
        /// - Parameters:
        ///   - pattern: Must match at least one byte to be of use.
        ///   - maxBytes: The result's length at the most, and with it that of what follows and
        ///     decides where it ends: in 5 bytes `[0-9]+` finds four digits that a comma follows.
        /// - Throws: As `read(until:maxBytes:)`; `.unsatisfiableRead` also for a pattern that takes
        ///   too many steps to match.
        public nonisolated(nonsending) func read(
            untilMatching pattern: BytePattern, maxBytes: Int = 65_536
        ) async throws -> [UInt8] {
            let maxBytes = min(maxBytes, options.readBufferMax)
            return try await read(PatternSearch(pattern, maxBytes: maxBytes))
        }

        nonisolated(nonsending) func read(_ search: PatternSearch) async throws -> [UInt8] {
            try beginRead(search.maxBytes)
            while true {
                if let length = try advance(search) { return readBuffer.take(length) }
                if try mustWait(for: "the pattern matched") {
                    try await readWaiter.wait(for: .bytes)
                }
            }
        }

        /// Looks at what is buffered, then at that and all that can be received now: many small
        /// pieces are looked at together.
        private func advance(_ search: PatternSearch) throws -> Int? {
            if let length = try find(search) { return length }
            do {
                while readBuffer.count < search.maxBytes, try fillBuffer() {}
            } catch {
                // A failure comes behind what came before it.
                if let length = try find(search) { return length }
                throw error
            }
            return try find(search)
        }

        /// The length up to the end of a match, or nil if there is none yet.
        private func find(_ search: PatternSearch) throws -> Int? {
            let isEnd = input == .ended
            switch readBuffer.withBytes({ search.look(at: $0, isEnd: isEnd) }) {
            case .match(let end): return end
            case .failed(let reason): throw giveUp("The pattern could not be matched: \(reason).")
            case .none, .never: break
            }
            if readBuffer.count < search.maxBytes { return nil }
            throw giveUp("The pattern did not match within \(search.maxBytes) bytes.")
        }
    }
#endif
