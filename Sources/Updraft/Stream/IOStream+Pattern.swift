#if Regex
    // Reading up to a regular expression: contract row J5.
    extension IOStream {
        /// Reads up to and with the first match of a pattern.
        ///
        /// How the bytes are cut into packets does not change the result: a pattern that could go
        /// on (`[0-9]+`) waits for the byte that ends it, or for the end of the stream. As soon as
        /// the bytes are there that decide it, the match is returned.
        ///
        /// What PCRE2 is given to look at is linear in the bytes, however they are cut. What can't
        /// be part of a match is not looked at again, and no match is looked for before a byte has
        /// come that every match needs, such as the `b` of `a.*b`. What may be part of one is
        /// looked at from its beginning when bytes have come, but in all no more than 64 KiB and 16
        /// times the bytes that came. Beyond that a look waits for more bytes, for the end of the
        /// stream, or for time that the loop has for it: a tenth of its time is for such looks, all
        /// reads together, and 150 ns pass for each byte of a look since the one before. So a peer
        /// that sends a long match in pieces of less than some thirtieth of it, each soon after the
        /// other, may get its answer later: where no other read waits like that, by up to 10 ms for
        /// a match of 64 KiB, a millisecond for a short one. Whoever takes more time than that over
        /// a piece is answered at once; so is the end of the stream.
        ///
        /// - Parameters:
        ///   - pattern: Must match at least one byte to be of use.
        ///   - maxBytes: The result's length at the most, and with it that of what follows and
        ///     decides where it ends: in 5 bytes `[0-9]+` finds four digits that a comma follows.
        /// - Throws: As `read(until:maxBytes:)`; `.unsatisfiableRead` also for a pattern that takes
        ///   too many steps to match (1,000,000), or is too deep: what a repeated group might have
        ///   matched instead takes up to 4 MiB, some 128 KiB of bytes for `(a|b)*c`.
        public nonisolated(nonsending) func read(
            untilMatching pattern: BytePattern, maxBytes: Int = 65_536
        ) async throws -> [UInt8] {
            let maxBytes = min(maxBytes, options.readBufferMax)
            return try await read(
                PatternSearch(
                    pattern, maxBytes: maxBytes, clock: loop.clock, matcher: .of(loop)))
        }

        nonisolated(nonsending) func read(_ search: PatternSearch) async throws -> [UInt8] {
            try beginRead(search.maxBytes)
            while true {
                if let length = try advance(search) { return readBuffer.take(length) }
                if try mustWait(for: "the pattern matched") {
                    try await waitForBytes(orUntil: search.putOffUntil)
                }
            }
        }

        private nonisolated(nonsending) func waitForBytes(
            orUntil instant: LoopInstant?
        ) async throws {
            guard let instant else { return try await readWaiter.wait(for: .bytes) }
            let timer = loop.timers.add(deadline: instant.nanoseconds) { [unowned self] in
                loop.resumingInline { readWaiter.fire() }
            }
            defer { loop.timers.remove(timer) }
            try await readWaiter.wait(for: .bytes)
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
            // Nothing is no match: who reads until there is none would never come to an end.
            if isEnd, readBuffer.isEmpty { return nil }
            let isLast = isClosed
            switch readBuffer.withBytes({ search.look(at: $0, isEnd: isEnd, isLast: isLast) }) {
            case .match(let end): return end
            case .failed(let reason): throw giveUp("The pattern could not be matched: \(reason).")
            case .none, .never: break
            }
            if readBuffer.count < search.maxBytes { return nil }
            throw giveUp("The pattern did not match within \(search.maxBytes) bytes.")
        }
    }
#endif
