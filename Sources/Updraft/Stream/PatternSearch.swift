#if Regex
    /// One read's search for a match, in bytes that grow.
    ///
    /// PCRE2 has to begin again where a match that is not there yet began. So it is asked only when
    /// there can be a match: not before a byte has come that every match needs.
    final class PatternSearch {
        /// The match and all that decides where it ends are within so many bytes, or there is none.
        let maxBytes: Int

        /// Bytes that PCRE2 was given or that were searched for one byte, counted as often as they
        /// were.
        private(set) var lookedAt = 0

        private let pattern: BytePattern
        private let data: BytePattern.MatchData?
        /// No match begins before this.
        private var start = 0
        /// From `start` up to here there is none of the byte that a match needs.
        private var missing = 0
        private var looked = Look(count: 0, isEnd: false)
        private var isHopeless = false

        private struct Look: Equatable {
            let count: Int
            let isEnd: Bool
        }

        init(_ pattern: BytePattern, maxBytes: Int) {
            self.pattern = pattern
            self.maxBytes = maxBytes
            data = BytePattern.MatchData(pattern)
        }

        /// - Parameters:
        ///   - all: All bytes so far: those of the last call and what has been added.
        ///   - isEnd: Whether no more bytes will come.
        func look(at all: UnsafeRawBufferPointer, isEnd: Bool) -> BytePattern.Search {
            guard let data else { return .failed("out of memory") }
            let bytes = UnsafeRawBufferPointer(rebasing: all.prefix(maxBytes))
            // What stands behind the limit, be it the end, must not matter: it may come later.
            let look = Look(count: bytes.count, isEnd: isEnd && bytes.count < maxBytes)
            if isHopeless || look == looked { return .none(from: start) }
            looked = look
            guard mayMatch(in: bytes) else { return .none(from: start) }
            lookedAt += bytes.count - start
            let result = pattern.search(bytes, from: start, isEnd: look.isEnd, data)
            switch result {
            case .none(let from): start = from
            case .never: isHopeless = true
            case .match, .failed: break
            }
            return result
        }

        private func mayMatch(in bytes: UnsafeRawBufferPointer) -> Bool {
            // Behind all of them, too: a match may be empty where the stream ends.
            guard bytes.count - start >= pattern.needs.bytesMin else { return false }
            guard let byte = pattern.needs.byte else { return true }
            let from = max(missing, start + byte.offset)
            guard from < bytes.count else { return false }
            let new = UnsafeRawBufferPointer(rebasing: bytes[from...])
            lookedAt += new.count
            if byte.isIn(new) { return true }
            missing = bytes.count
            return false
        }
    }
#endif
